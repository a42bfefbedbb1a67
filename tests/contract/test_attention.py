"""Every kernel with every position, mask and head layout: what must hold whatever the combination."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from helpers.pairwise import choices, title
from helpers.tensors import ROWS, randomised, real, slots_of
from helpers.variants import (
    LAYOUTS,
    dims,
    exact_kernels,
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


FACTORS = dict(kernel=kernel_expressions(), position=position_expressions(), mask=mask_expressions(), layout=list(LAYOUTS), rows=list(ROWS))
EXACT = choices({**FACTORS, "kernel": [k for k in exact_kernels() if k != "reference"]}, supported)
EVERY = choices(FACTORS, supported)


def test_every_kernel_takes_part() -> None:
    assert {choice["kernel"] for choice in EVERY} == set(kernel_expressions())
    assert len(EXACT) >= len(FACTORS["mask"]) * len(FACTORS["position"])


@pytest.mark.parametrize("choice", EXACT, ids=title)
def test_equals_the_reference(choice: dict) -> None:
    x, slots = inputs(choice["layout"]), slots_of(choice["rows"], TIME)
    fast, plain = attend(layer(choice), x, slots), attend(layer(choice, "reference"), x, slots_of(choice["rows"], TIME))
    kept = real(slots)
    torch.testing.assert_close(fast[kept], plain[kept], atol=1e-5, rtol=1e-5)
    assert plain[kept].abs().max() > 0.1


@pytest.mark.parametrize("choice", EXACT, ids=title)
def test_gradients_equal_those_of_the_reference(choice: dict) -> None:
    slots = slots_of(choice["rows"], TIME)
    kept, found = real(slots), []
    for text in (choice["kernel"], "reference"):
        x = inputs(choice["layout"]).requires_grad_()
        attend(layer(choice, text), x, slots_of(choice["rows"], TIME))[kept].square().sum().backward()
        assert x.grad is not None
        found.append(x.grad)
    scale = max(1.0, float(found[1].abs().max()))
    torch.testing.assert_close(found[0] / scale, found[1] / scale, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("choice", EVERY, ids=title)
def test_only_what_the_mask_allows_reaches_a_token(choice: dict) -> None:
    """By gradient: no token that is hidden moves the output; each that may be seen does. For causal masks that is causality."""
    slots = slots_of(choice["rows"], TIME)
    attention = layer(choice)
    torch.nn.init.zeros_(attention.o_proj.bias)
    x = inputs(choice["layout"]).requires_grad_()
    out = attend(attention, x, slots)
    seen = torch.zeros(2, TIME, TIME, dtype=torch.bool)
    for query in range(TIME):
        (gradient,) = torch.autograd.grad(out[:, query].square().sum(), x, retain_graph=True)
        assert gradient.isfinite().all()
        seen[:, query] = (gradient != 0).any(dim=-1)
    allowed = visible(attention.parts.mask, slots, slots).expand(2, -1, -1)
    apart = ~torch.eye(TIME, dtype=torch.bool)  # a token reaches itself through its query too
    if kernel(choice["kernel"]).exact:
        assert torch.equal(seen & apart, allowed & apart)
    else:
        assert not (seen & apart & ~allowed).any()
    if attention.parts.mask.causal:
        order = slots.position[:, None, :] > slots.position[:, :, None]
        assert not (seen & order).any()


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
    choice = dict(kernel=text, position="rotary", mask="causal & ~causal", layout=layout)
    if not supported(choice):
        pytest.skip(str(kernel(text).supports(mask(choice["mask"]), position("rotary"))))
    attention, x = layer(choice), inputs(layout).requires_grad_()
    torch.nn.init.zeros_(attention.o_proj.bias)
    out = attend(attention, x, slots_of("plain", TIME))
    assert torch.equal(out, torch.zeros_like(out))
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("text", kernel_expressions())
def test_one_query_over_many_keys_is_aligned_to_the_end(text: str) -> None:
    """A step of generation: the last query of the whole pass, asked alone (SDPA's own causal mask would align to the start)."""
    choice = dict(kernel=text, position="rotary", mask="causal", layout="gqa")
    if not supported(choice):
        pytest.skip(str(kernel(text).supports(mask("causal"), position("rotary"))))
    attention, slots = layer(choice), slots_of("plain", TIME)
    q, k, v = attention.project(inputs("gqa"))
    q, k = attention.parts.position.rotate(q, slots), attention.parts.position.rotate(k, slots)
    whole = attention.attend(q, k, v, slots, slots, None)
    for start in (TIME - 1, TIME - 4):
        last = Slots(slots.position[:, start:])
        step = attention.attend(q[:, :, start:], k, v, last, slots, None)
        torch.testing.assert_close(step, whole[:, :, start:], atol=1e-6, rtol=1e-5)
