"""Packing: an inference-only form of a model, with fused and re-laid-out weights, the same taps and the same logits to 1e-5."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from isinglass.core.errors import EngineError
from isinglass.models.adapted import settled
from isinglass.models.sharing import sharing
from isinglass.models.transformer import Decoder, Model
from isinglass.nn.block import Block
from isinglass.nn.feedforward.glu import GLU
from isinglass.nn.feedforward.mlp import MLP
from isinglass.nn.feedforward.moe import MoE
from isinglass.nn.feedforward_layer import FeedForward
from isinglass.nn.fused import FrozenLinear, LayOut, TransposedLinear, fused_activation, fused_norm, joined


def fastest_layout(weight: Tensor, bias: Tensor | None) -> nn.Module:
    """The layout that was measured faster without a compiler, by dtype, shape and processor: LOG.md, 2026-11-22."""
    d_out, d_in = weight.shape
    # where bf16 is emulated, only much wider outputs gain; where it is native, the plain kernel is the right one
    bf16 = d_out >= 4 * d_in and not torch.cpu._is_avx512_bf16_supported()
    transposed = d_out >= d_in if weight.dtype == torch.float32 else bf16
    return (TransposedLinear if transposed else FrozenLinear)(weight, bias)


def pack(model: Model, lay_out: LayOut = fastest_layout) -> Decoder:
    """A copy of `model` that reads its weights fewer times and in a faster order; the original is untouched.

    What needs no new layout is shared with the original, not copied. `lay_out` makes each matrix product from (weight, bias).
    A feed-forward layer of the user's own stays as it is; a LoRA is merged first, a prefix stays in place.
    Raises EngineError for what is no decoder.

    >>> from isinglass.models.presets import tiny
    >>> from isinglass.models.transformer import fresh
    >>> model = fresh(tiny.build(vocab_size=100), seed=0)
    >>> ids = torch.tensor([[1, 2, 3]])
    >>> torch.allclose(pack(model)(ids), model(ids), atol=1e-5)
    True
    """
    if not isinstance(model, Decoder):
        raise EngineError(
            f"cannot pack a {type(model).__name__}, expected a Decoder: only what writes token by token gains from it",
            hint="call the model itself",
        )
    packed = sharing(settled(model))
    for block in packed.layers:
        _pack_block(cast(Block, block), lay_out)
    packed.norm = fused_norm(packed.norm)  # type: ignore[arg-type]
    head = packed.lm_head.weight if isinstance(packed.lm_head, nn.Linear) else packed.embed_tokens.weight
    packed.lm_head = lay_out(head.detach(), None)
    return packed.requires_grad_(False).eval()


def _pack_block(block: Block, lay_out: LayOut) -> None:
    attention = block.attention
    attention.joint = joined([attention.q_proj, attention.k_proj, attention.v_proj], lay_out)
    del attention.q_proj, attention.k_proj, attention.v_proj
    _lay_out(attention, "o_proj", lay_out)
    _pack_feedforward(block.mlp, lay_out)
    # a function, not a module: 61 calls a token of a module that does nothing showed as 1 ms in the profile
    del block.dropout
    block.dropout = _unchanged  # type: ignore[assignment]
    block.attention_norm, block.mlp_norm = fused_norm(block.attention_norm), fused_norm(block.mlp_norm)  # type: ignore[arg-type]


def _pack_feedforward(mlp: FeedForward, lay_out: LayOut) -> None:
    if isinstance(mlp, MoE):
        for expert in mlp.experts:
            _pack_feedforward(cast(GLU, expert), lay_out)
    elif isinstance(mlp, GLU | MLP):
        if isinstance(mlp, GLU):
            mlp.joint = joined([mlp.gate_proj, mlp.up_proj], lay_out)
            del mlp.gate_proj, mlp.up_proj
        else:
            _lay_out(mlp, "up_proj", lay_out)
        _lay_out(mlp, "down_proj", lay_out)
        mlp.activation = fused_activation(mlp.activation)


def _unchanged(x: Tensor) -> Tensor:
    return x


def _lay_out(owner: nn.Module, name: str, lay_out: LayOut) -> None:
    linear = cast(nn.Linear, getattr(owner, name))
    setattr(owner, name, lay_out(linear.weight.detach(), None if linear.bias is None else linear.bias.detach()))
