"""Positions: the formulas and rows the notes give."""

from __future__ import annotations

import torch

from isinglass.core.errors import IsinglassError
from isinglass.nn.attention import positions
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.position import Position
from isinglass.nn.attention.slots import Slots
from isinglass.studies.claims.claim import Claim, Finding, equal

DIMS = Dims(d_model=4, n_heads=1, n_kv_heads=1, d_head=4, context_length=512)


def position(expression: str) -> Position:
    return positions.family.resolve(expression, DIMS)


def claims() -> list[Claim]:
    """Section "Encoding Strategies"."""
    return [
        Claim("sinusoidal rows are 0 1 0 1 / 0.84 0.54 0.01 1.00 / 0.91 -0.42 0.02 1.00", _sinusoid, "isinglass explain sinusoidal"),
        Claim("a rotated query and key depend on m - n alone", _rotary, "isinglass explain rotary"),
        Claim("(q e^(im theta)) (k e^(in theta)) = q k e^(i(m - n) theta)", _rotary_formula, "isinglass explain rotary"),
        Claim("ALiBi subtracts m |i - j| from the score", _alibi, "isinglass explain alibi"),
        Claim("learned positions end at the longest text, 512 for BERT", _learned, "isinglass explain learned"),
        Claim("Transformer-XL's score is Q K + Q R", _transformer_xl, "isinglass explain relative_xl"),
    ]


def _sinusoid() -> Finding:
    rows = position("sinusoidal").embed(Slots.first(torch.zeros(1, 3, dtype=torch.long)))
    assert rows is not None
    found = [[round(value, 2) + 0.0 for value in row] for row in rows.flatten(0, -2).tolist()]
    claimed = [[0.0, 1.0, 0.0, 1.0], [0.84, 0.54, 0.01, 1.0], [0.91, -0.42, 0.02, 1.0]]
    text = " / ".join(" ".join(f"{value:.2f}" for value in row) for row in found)
    return Finding(f"{text} for d = 4; wider vectors have other frequencies", equal(claimed, found))


def _rotary() -> Finding:
    rotary, generator = position("rotary"), torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 1, 1, 4, generator=generator, dtype=torch.float64) for _ in range(2))

    def product(m: int, n: int) -> float:
        turned = [rotary.rotate(x, Slots(torch.tensor([[place]]))) for x, place in ((q, m), (k, n))]
        return (turned[0] * turned[1]).sum().item()

    spread = max(abs(product(m, m - 3) - product(3, 0)) for m in (10, 100, 500))
    return Finding(f"m - n = 3 at 3, 10, 100 and 500: products differ by {spread:.0e}", "true" if spread < 1e-4 else "false")


def _rotary_formula() -> Finding:
    q, k, m, n, theta = 1 + 2j, 3 - 1j, 5, 2, 0.1
    turn = torch.polar(torch.ones(2), torch.tensor([m * theta, n * theta])).tolist()
    left, conjugate, right = (
        q * turn[0] * k * turn[1],
        q * turn[0] * (k * turn[1]).conjugate(),
        torch.polar(torch.tensor(1.0), torch.tensor((m - n) * theta)).item(),
    )
    plain, with_conjugate = abs(left - q * k * right) < 1e-5, abs(conjugate - q * k.conjugate() * right) < 1e-5
    text = "the product as written turns by m + n; with the key's conjugate, which a dot product takes, it is m - n"
    return Finding(text if with_conjugate else "neither form holds", "true" if plain else "partly" if with_conjugate else "false")


def _alibi() -> Finding:
    slots, x = Slots.first(torch.zeros(1, 4, dtype=torch.long)), torch.zeros(1, 1, 4, 4)
    bias = position("alibi").bias(x, x, slots, slots)
    assert bias is not None
    slope = -bias[0, 0, 0, 1].item()
    distance = (slots.position[0][:, None] - slots.position[0][None, :]).abs()
    return Finding(
        f"bias / distance = -{slope:g} for the one head, everywhere", equal(True, bool(torch.equal(bias[0, 0], -slope * distance)))
    )


def _learned() -> Finding:
    import isinglass as ig

    lm = ig.create("tiny(context_length=16)", attention={"position": "learned"})
    try:
        lm.model(torch.zeros(1, 17, dtype=torch.long))
    except IsinglassError as error:
        return Finding(f"a model made for 16 tokens refuses 17: {str(error).splitlines()[0]}", "true")
    return Finding("17 tokens passed through a model made for 16", "false")


def _transformer_xl() -> Finding:
    weights = [name for name, _ in position("relative_xl").named_parameters() if "." not in name]
    return Finding(
        f"it adds a preference of each head to both terms: {', '.join(weights)}; without them it is nearer to Shaw 2018", "false"
    )
