"""Keys and values from elsewhere, and another scale: against torch and T5."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from helpers.tensors import Watch, randomised
from helpers.variants import kernel, mask, position
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.layer import Attention, Parts
from isinglass.nn.attention.slots import Slots
from isinglass.nn.tap import Scoped

X, SOURCE = (torch.randn(2, time, 32, generator=torch.Generator().manual_seed(time)) for time in (5, 9))
SLOTS, SOURCE_SLOTS = Slots(torch.arange(5).expand(2, -1)), Slots(torch.arange(9).expand(2, -1))
PADDED = Slots(SOURCE_SLOTS.position, valid=torch.arange(9) < torch.tensor([[9], [6]]))


def attention(kernel_text: str = "sdpa", bias: str = "all", scheme: str = "none", scale: float | None = None) -> Attention:
    parts = Parts(position(scheme, "mha"), mask("full"), kernel(kernel_text))
    return randomised(Attention(Dims(32, 4, 4, 8, 64), parts, bias, scale=scale))  # type: ignore[return-value]


def cross(layer: Attention, x: Tensor, slots: Slots, source: Tensor, k_slots: Slots, tap: Scoped | None = None) -> Tensor:
    return layer(x, layer=0, slots=slots, k_slots=k_slots, memory=layer.remember(source), tap=tap)


@pytest.mark.parametrize("text", ["reference", "sdpa", "flash(tile=4)"])
def test_cross_attention_equals_torch(text: str) -> None:
    theirs, ours = nn.MultiheadAttention(32, 4, batch_first=True), attention(text)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([p.weight for p in (ours.q_proj, ours.k_proj, ours.v_proj)]))
        theirs.in_proj_bias.copy_(torch.cat([p.bias for p in (ours.q_proj, ours.k_proj, ours.v_proj)]))
        theirs.out_proj.load_state_dict(ours.o_proj.state_dict())
    assert PADDED.valid is not None
    expected, _ = theirs(X, SOURCE, SOURCE, key_padding_mask=~PADDED.valid)
    torch.testing.assert_close(cross(ours, X, SLOTS, SOURCE, PADDED), expected, atol=1e-5, rtol=1e-5)


def test_a_step_at_a_time_equals_one_pass() -> None:
    """The memory is made once; without a cache of their own the steps give the rows of the whole."""
    layer = attention()
    memory, whole = layer.remember(SOURCE), cross(layer, X, SLOTS, SOURCE, PADDED)
    for at in range(5):
        step = layer(X[:, at : at + 1], layer=0, slots=SLOTS.part(slice(at, at + 1)), k_slots=PADDED, memory=memory)
        torch.testing.assert_close(step, whole[:, at : at + 1], atol=1e-6, rtol=1e-5)


def test_keys_are_turned_by_the_positions_of_their_source() -> None:
    layer = attention(scheme="rotary")
    late = Slots(SLOTS.position + 40)
    moved = Slots(SOURCE_SLOTS.position + 40)
    here = cross(layer, X, SLOTS, SOURCE, SOURCE_SLOTS)
    torch.testing.assert_close(cross(layer, X, late, SOURCE, moved), here, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(cross(layer, X, late, SOURCE, SOURCE_SLOTS), here, atol=1e-2)


def test_a_scoped_tap_names_it_cross_attention() -> None:
    layer, watch = attention(), Watch("cross_attention.weights", "cross_attention.k")
    looked = cross(layer, X, SLOTS, SOURCE, PADDED, Scoped(watch, "cross_"))
    assert watch.kept["cross_attention.weights"].shape == (2, 4, 5, 9)
    assert not watch.kept["cross_attention.weights"][1, :, :, 6:].any()
    torch.testing.assert_close(looked, cross(layer, X, SLOTS, SOURCE, PADDED), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("crossed", [False, True])
def test_equals_t5_attention(crossed: bool) -> None:
    """No 1 / sqrt(d), no biases in the projections; a relative bias in self-attention, none across."""
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Attention

    theirs = T5Attention(
        T5Config(d_model=32, num_heads=4, d_kv=8, dropout_rate=0.0), has_relative_attention_bias=not crossed, layer_idx=0
    ).eval()
    ours = attention(bias="none", scheme="none" if crossed else "relative_t5", scale=1.0)
    with torch.no_grad():
        for weight in ours.parameters():
            weight.mul_(0.5)  # unscaled scores of large weights would leave one key per query
        for name in "qkvo":
            getattr(theirs, name).weight.copy_(getattr(ours, f"{name}_proj").weight)
        if not crossed:
            torch.nn.init.normal_(ours.parts.position.weight)
            theirs.relative_attention_bias.weight.copy_(ours.parts.position.weight)
        expected = theirs(X, key_value_states=SOURCE if crossed else None)[0]
        found = cross(ours, X, SLOTS, SOURCE, SOURCE_SLOTS) if crossed else ours(X, layer=0, slots=SLOTS, k_slots=SLOTS)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
