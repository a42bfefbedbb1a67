"""Every kernel with every position, mask and head layout: what must hold whatever the combination."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from helpers.pairwise import FULL, choices, title
from helpers.tensors import ROWS, randomised, real, slots_of
from helpers.variants import (
    LAYOUTS,
    dims,
    kernel,
    kernel_expressions,
    mask,
    mask_expressions,
    position,
    position_expressions,
    unsupported,
)
from isinglass.nn.attention.layer import Attention, Parts
from isinglass.nn.attention.mask import visible
from isinglass.nn.attention.slots import Slots

TIME = 14


def supported(choice: dict) -> bool:
    return unsupported(choice["kernel"], choice["mask"], choice["position"]) is None


def takes(kernel_text: str, mask_text: str) -> bool:
    return unsupported(kernel_text, mask_text, "rotary") is None


def layer(choice: dict, kernel_text: str | None = None) -> Attention:
    """An attention layer with random weights, the same for every kernel."""
    parts = Parts(position(choice["position"], choice["layout"]), mask(choice["mask"]), kernel(kernel_text or choice["kernel"]))
    built = randomised(Attention(dims(choice["layout"]), parts, "all"))
    randomised(parts.position)  # type: ignore[arg-type]
    return built  # type: ignore[return-value]


def attend(attention: Attention, x: Tensor, slots: Slots) -> Tensor:
    added = attention.parts.position.embed(slots)
    return attention(x if added is None else x + added, layer=0, slots=slots, k_slots=slots)


def inputs(layout: str, batch: int = 2, time: int = TIME) -> Tensor:
    return torch.randn(batch, time, dims(layout).d_model, generator=torch.Generator().manual_seed(1))


FACTORS = dict(
    kernel=sorted(kernel_expressions(), key=lambda text: text != "sdpa"),  # where any kernel would do, the first is taken: the quickest
    position=position_expressions(),
    mask=mask_expressions(),
    layout=list(LAYOUTS),
    rows=list(ROWS),
)
EVERY = choices(FACTORS, supported, drawn=["rows"])
FAST = [choice for choice in EVERY if choice["kernel"] != "reference"]


def test_every_variant_takes_part() -> None:
    for part, values in FACTORS.items():
        assert {choice[part] for choice in EVERY} == set(values)
    assert len(FAST) >= len(FACTORS["mask"]) * (len(FACTORS["kernel"]) - 1) / 2


def definition(choice: dict) -> Attention:
    """The same layer with the kernel that defines what this one computes: the reference, or the oracle of a kernel that is not exact."""
    built = layer(choice, "reference")
    oracle = kernel(choice["kernel"]).oracle
    if oracle is not None:
        built.parts = replace(built.parts, kernel=oracle)
    return built


@pytest.mark.parametrize("choice", FAST, ids=title)
def test_equals_its_definition(choice: dict) -> None:
    """Outputs, and gradients of the input and of every weight, those of the position included."""
    kept, outs, gradients = real(slots_of(choice["rows"], TIME)), [], []
    for attention in (layer(choice), definition(choice)):
        x = inputs(choice["layout"]).requires_grad_()
        out = attend(attention, x, slots_of(choice["rows"], TIME))[kept]
        weights = [*attention.parameters()]
        outs.append(out)
        gradients.append(torch.autograd.grad(out.square().sum(), [x, *weights], allow_unused=True))
    assert outs[1].abs().max() > 0.1
    torch.testing.assert_close(outs[0], outs[1], atol=1e-5, rtol=1e-5)
    assert [g is None for g in gradients[0]] == [g is None for g in gradients[1]]
    # one scale for all: that of a bias of the keys is 0 but for rounding, since it shifts all scores of a query alike
    scale = max(float(plain.abs().max()) for plain in gradients[1] if plain is not None)
    for fast, plain in zip(*gradients, strict=True):
        if plain is not None:
            torch.testing.assert_close(fast / scale, plain / scale, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("choice", EVERY, ids=title)
def test_only_what_the_mask_allows_reaches_a_token(choice: dict) -> None:
    """By gradient: no token that is hidden moves the output; each that may be seen does. For causal masks that is causality.

    What padding sees is nobody's business: kernels need not agree on it.
    """
    slots = slots_of(choice["rows"], TIME)
    attention = layer(choice)
    torch.nn.init.zeros_(attention.o_proj.bias)
    x = inputs(choice["layout"]).requires_grad_()
    out = attend(attention, x, slots)
    queries = list(range(TIME) if FULL else range(4, TIME, 5))
    seen = torch.zeros(2, TIME, TIME, dtype=torch.bool)
    for query in queries:
        (gradient,) = torch.autograd.grad(out[:, query].square().sum(), x, retain_graph=True)
        assert gradient.isfinite().all()
        seen[:, query] = (gradient != 0).any(dim=-1)
    allowed = visible(attention.parts.mask, slots, slots).expand(2, -1, -1)
    asked = real(slots)[:, :, None] & torch.isin(torch.arange(TIME), torch.tensor(queries))[:, None]
    apart = ~torch.eye(TIME, dtype=torch.bool) & asked  # a token reaches itself through its query too
    if kernel(choice["kernel"]).exact:
        assert torch.equal(seen & apart, allowed & apart)
    else:
        assert not (seen & apart & ~allowed).any()
    if attention.parts.mask.causal:
        order = slots.position[:, None, :] > slots.position[:, :, None]
        assert not (seen & order & asked).any()


@pytest.mark.parametrize("choice", [c for c in EVERY if c["rows"].startswith("padded")], ids=title)
def test_padding_and_batch_mates_change_nothing(choice: dict) -> None:
    attention, x, slots = layer(choice), inputs(choice["layout"]), slots_of(choice["rows"], TIME)
    kept = real(slots)
    together = attend(attention, x, slots)
    other = x.clone()
    other[~kept] = 7.0
    other_slots = slots_of(choice["rows"], TIME)
    assert torch.equal(attend(attention, other, other_slots)[kept], together[kept])
    for row in range(2):
        alone = Slots(slots.position[row : row + 1, kept[row]])
        torch.testing.assert_close(attend(attention, x[row : row + 1, kept[row]], alone)[0], together[row, kept[row]], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("text", kernel_expressions())
def test_a_row_that_sees_nothing_gives_zeros(text: str, layout: str) -> None:
    nothing = next(rule for rule in ("causal & ~causal", "sliding_window(2) & ~sliding_window(3)", "full") if takes(text, rule))
    choice = dict(kernel=text, position="rotary", mask=nothing, layout=layout)
    attention, x = layer(choice), inputs(layout).requires_grad_()
    torch.nn.init.zeros_(attention.o_proj.bias)
    all_padding = Slots(slots_of("plain", TIME).position, valid=torch.zeros(2, TIME, dtype=torch.bool))
    out = attend(attention, x, all_padding if nothing == "full" else slots_of("plain", TIME))
    assert torch.equal(out, torch.zeros_like(out))
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("text", kernel_expressions())
def test_one_query_over_many_keys_is_aligned_to_the_end(text: str) -> None:
    """A step of generation: the last query of the whole pass, asked alone (SDPA's own causal mask would align to the start)."""
    rule = "causal" if takes(text, "causal") else "causal & sliding_window(3)"
    choice = dict(kernel=text, position="rotary", mask=rule, layout="gqa")
    attention, slots = layer(choice), slots_of("plain", TIME)
    q, k, v = attention.project(inputs("gqa"))
    q, k = attention.parts.position.rotate(q, slots), attention.parts.position.rotate(k, slots)
    whole = attention.attend(q, k, v, slots, slots, None)
    for start in (TIME - 1, TIME - 4):
        last = Slots(slots.position[:, start:])
        step = attention.attend(q[:, :, start:], k, v, last, slots, None)
        torch.testing.assert_close(step, whole[:, :, start:], atol=1e-6, rtol=1e-5)
