"""Attention: the patterns the notes draw, and what they say of kernels."""

from __future__ import annotations

import torch
from torch import Tensor

from isinglass.nn.attention import kernels, masks
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.kernel import Kernel
from isinglass.nn.attention.mask import Mask
from isinglass.nn.attention.slots import Slots
from isinglass.studies.claims.claim import Claim, Finding, equal

DIMS = Dims(d_model=64, n_heads=4, n_kv_heads=4, d_head=16, context_length=512)


def seen(expression: str, token: int, n_tokens: int) -> list[int]:
    """The tokens that one token may attend to."""
    slots = Slots.first(torch.zeros(1, n_tokens, dtype=torch.long))
    mask: Mask = masks.family.resolve(expression, DIMS)
    return mask.allow(slots, slots).expand(1, n_tokens, n_tokens)[0, token].nonzero().flatten().tolist()


def attend(name: str, mask: str = "causal", n_tokens: int = 64) -> Tensor:
    """One kernel's answer to fixed random queries, keys and values."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 4, n_tokens, 16, generator=generator) for _ in range(3))
    slots = Slots.first(torch.zeros(1, n_tokens, dtype=torch.long))
    kernel: Kernel = kernels.family.resolve(name, DIMS)
    with torch.inference_mode():
        return kernel.attend(
            q, k, v, q_slots=slots, k_slots=slots, mask=masks.family.resolve(mask, DIMS), bias=lambda *_: None, scale=DIMS.d_head**-0.5
        )


def claims() -> list[Claim]:
    """Section "Types of Attention Mechanisms" and the sparse patterns of "Encoding Strategies"."""
    return [
        Claim("causal: of 4 tokens each sees itself and those before", _causal, "isinglass explain causal"),
        _pattern("local, window 2: token 5 sees 3, 4, 5, 6, 7", "sliding_window(3)", 5, [3, 4, 5, 6, 7]),
        _pattern("strided by 5: token 10 sees 0, 5, 10, 15, 20", "strided(5)", 10, [0, 5, 10, 15, 20]),
        _pattern("Longformer: token 100 sees 90 to 110", "sliding_window(11)", 100, list(range(90, 111))),
        _pattern("Longformer, dilated: token 100 sees 0, 50, 100, 150, 200", "dilated(window=3, dilation=50)", 100, [0, 50, 100, 150, 200]),
        Claim("hidden scores of minus infinity become weights of 0", _hidden, "isinglass explain reference"),
        Claim("weights 0.2, 0.6, 0.2 can be a row of attention", _row, "isinglass explain reference"),
        Claim("flash attention gives the same result as standard attention", _flash, "isinglass explain flash"),
        Claim("linear attention approximates softmax attention", _linear, "isinglass explain kernels.linear"),
        Claim("sliding windows can be stacked for a global view", _stacked, "isinglass explain sliding_window"),
    ]


def _pattern(says: str, expression: str, token: int, claimed: list[int]) -> Claim:
    """The tokens that one token sees, in a text that ends with the last of them."""

    def check() -> Finding:
        found = seen(expression, token, claimed[-1] + 1)
        shown = f"{found[0]} to {found[-1]}" if len(found) > 8 else ", ".join(map(str, found))
        return Finding(f"{expression}: {shown}", equal(claimed, found))

    return Claim(says, check, f"isinglass explain {expression.partition('(')[0]}")


def _causal() -> Finding:
    rows = [seen("causal", token, 4) for token in range(4)]
    return Finding("; ".join(",".join(map(str, row)) for row in rows), equal([[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]], rows))


def _hidden() -> Finding:
    weights = torch.tensor([1.0, float("-inf"), 2.0]).softmax(0)
    return Finding(f"softmax(1, -inf, 2) = {', '.join(f'{w:.3f}' for w in weights.tolist())}", equal(0.0, weights[1].item()))


def _row() -> Finding:
    total = round(0.2 + 0.6 + 0.2, 9)
    return Finding(f"they sum to {total:g}", equal(1.0, total))


def _flash() -> Finding:
    difference = (attend("flash") - attend("reference")).abs().max().item()
    return Finding(f"largest difference {difference:.0e}, the rounding of fp32", "true" if difference < 1e-5 else "false")


def _linear() -> Finding:
    linear, softmax = attend("linear"), attend("reference")
    error = ((linear - softmax).norm() / softmax.norm()).item()
    text = f"with phi = elu + 1 it is another function: relative difference {error:.0%} on random inputs; the notes also omit the divisor"
    return Finding(text, "true" if error < 0.05 else "false")


def _stacked() -> Finding:
    slots = Slots.first(torch.zeros(1, 40, dtype=torch.long))
    one = masks.family.resolve("causal & sliding_window(4)", DIMS).allow(slots, slots)[0].float()
    reach = [int(torch.linalg.matrix_power(one, layers)[39].nonzero()[0]) for layers in (1, 2, 3)]
    text = f"window 4, token 39: 1, 2, 3 layers see back to {', '.join(map(str, reach))}, 3 more each"
    return Finding(text, equal([36, 33, 30], reach))
