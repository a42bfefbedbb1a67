"""The attention layer and its kernels against torch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.tensors import Watch, randomised
from helpers.variants import exact_kernels, kernel, mask, position, unsupported
from isinglass.core.errors import ShapeError, VariantError
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.kernel import Kernel
from isinglass.nn.attention.layer import Attention, Parts
from isinglass.nn.attention.mask import Mask
from isinglass.nn.attention.position import Position
from isinglass.nn.attention.slots import Slots

EVERYWHERE = [text for text in exact_kernels() if unsupported(text, "full", "none") is None]  # banded wants a band: see below
SLOTS = Slots(torch.arange(7)[None].expand(2, -1))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("text", EVERYWHERE)
def test_multi_head_equals_torch_with_copied_weights(text: str, causal: bool) -> None:
    theirs = nn.MultiheadAttention(32, 4, bias=True, batch_first=True)
    parts = Parts(position("none", "mha"), mask("causal" if causal else "full"), kernel(text))
    ours = Attention(Dims(32, 4, 4, 8, 64), parts, "all")
    randomised(theirs)
    with torch.no_grad():
        # their joined projection holds q, k, v in this order
        for layer, weight, bias in zip(
            (ours.q_proj, ours.k_proj, ours.v_proj), theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True
        ):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        ours.o_proj.load_state_dict(theirs.out_proj.state_dict())
    x = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(3))
    hidden = torch.ones(7, 7, dtype=torch.bool).triu(1) if causal else None
    expected, weights = theirs(x, x, x, attn_mask=hidden, average_attn_weights=False)
    tap = Watch("attention.weights")
    torch.testing.assert_close(ours(x, layer=0, slots=SLOTS, k_slots=SLOTS), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours(x, layer=0, slots=SLOTS, k_slots=SLOTS, tap=tap), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(tap.kept["attention.weights"], weights, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4, 8])
@pytest.mark.parametrize("text", EVERYWHERE)
def test_grouped_heads_equal_torch(text: str, n_kv_heads: int) -> None:
    """Query head h reads key head h // group (repeat_interleave, not tiling)."""
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 8, 7, 16, generator=generator)
    k, v = torch.randn(2, n_kv_heads, 7, 16, generator=generator), torch.randn(2, n_kv_heads, 7, 16, generator=generator)
    options = dict(q_slots=SLOTS, k_slots=SLOTS, mask=mask("causal"), bias=position("none").bias, scale=16**-0.5)
    ours = kernel(text).attend(q, k, v, **options)
    torch.testing.assert_close(ours, F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("text", EVERYWHERE)
def test_a_bias_is_added_to_the_scores(text: str) -> None:
    q, k, v = torch.randn(3, 2, 4, 7, 16, generator=torch.Generator().manual_seed(0))
    added = torch.randn(1, 4, 7, 7, generator=torch.Generator().manual_seed(1))

    def bias(q, k, q_slots, k_slots):
        """Kernels in tiles ask for a part."""
        return added[:, :, q_slots.position[0]][..., k_slots.position[0]]

    options = dict(q_slots=SLOTS, k_slots=SLOTS, bias=bias, scale=0.3)
    full = kernel(text).attend(q, k, v, mask=mask("full"), **options)
    torch.testing.assert_close(full, F.scaled_dot_product_attention(q, k, v, attn_mask=added, scale=0.3), atol=1e-5, rtol=1e-5)
    causal = kernel(text).attend(q, k, v, mask=mask("causal"), **options)
    hidden = added.masked_fill(torch.ones(7, 7, dtype=torch.bool).triu(1), float("-inf"))
    torch.testing.assert_close(causal, F.scaled_dot_product_attention(q, k, v, attn_mask=hidden, scale=0.3), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("text", EVERYWHERE)
def test_one_query_without_a_mask_equals_torch(text: str) -> None:
    """The step of generation, where kernels take a shorter way."""
    q, (k, v) = torch.randn(2, 8, 1, 16), torch.randn(2, 2, 2, 7, 16)
    options = dict(q_slots=Slots(torch.full((2, 1), 6)), k_slots=SLOTS, mask=mask("causal"), bias=position("none").bias, scale=0.25)
    torch.testing.assert_close(
        kernel(text).attend(q, k, v, **options), F.scaled_dot_product_attention(q, k, v, scale=0.25, enable_gqa=True), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(("bias", "with_bias"), [("none", ""), ("qkv", "qkv"), ("all", "qkvo")])
def test_which_projections_have_a_bias(bias: str, with_bias: str) -> None:
    layer = Attention(Dims(32, 4, 2, 8, 64), Parts(position("none"), mask("causal"), kernel("sdpa")), bias)
    assert "".join(p for p in "qkvo" if getattr(layer, f"{p}_proj").bias is not None) == with_bias
    assert (layer.q_proj.out_features, layer.k_proj.out_features, layer.v_proj.out_features) == (32, 16, 16)


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"n_kv_heads = 3 does not divide n_heads = 8[\s\S]*choose one of \[1, 2, 4, 8\]"):
        Dims(64, 8, 3, 8, 64)
    assert Dims(64, 8, 2, 8, 64).group == 4


def test_a_kernel_that_cannot_says_why() -> None:
    class Picky(Kernel):
        def supports(self, mask: Mask, position: Position) -> str | None:
            return "it only does full attention"

        def attend(self, q, k, v, **rest):
            return q

    with pytest.raises(VariantError, match="the kernel picky cannot be used here: it only does full attention"):
        Parts(position("none"), mask("causal"), Picky())
