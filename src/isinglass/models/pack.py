"""Packing: an inference-only form of a model, with fused and re-laid-out weights, the same taps and the same logits to 1e-5."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import nn

from isinglass.models.transformer import Decoder
from isinglass.nn.attention.layer import Attention
from isinglass.nn.block import Block
from isinglass.nn.feedforward.glu import GLU
from isinglass.nn.linear import Joint, TransposedLinear, joined


def pack(model: Decoder) -> Decoder:
    """A copy of `model` that reads its weights fewer times and in the faster order; the original is untouched.

    Weights that need no new layout are shared with the original, not copied.
    """
    shared = {id(p): p for p in model.parameters()}
    packed = copy.deepcopy(model, memo=dict(shared))
    for block in packed.layers:
        _pack_block(cast(Block, block))
    head = packed.lm_head.weight if isinstance(packed.lm_head, nn.Linear) else packed.embed_tokens.weight
    packed.lm_head = lay_out(head.detach(), None)
    return packed.requires_grad_(False).eval()


def _pack_block(block: Block) -> None:
    attention, mlp = block.attention, block.mlp
    _join(attention, ("q_proj", "k_proj", "v_proj"))
    attention.o_proj = _laid_out(attention.o_proj)
    if isinstance(mlp, GLU):
        _join(mlp, ("gate_proj", "up_proj"))
    else:
        mlp.up_proj = _laid_out(cast(nn.Linear, mlp.up_proj))
    mlp.down_proj = _laid_out(cast(nn.Linear, mlp.down_proj))


def _join(owner: Attention | GLU, names: tuple[str, ...]) -> None:
    linears = [cast(nn.Linear, getattr(owner, name)) for name in names]
    owner.joint = Joint(_laid_out(joined(linears)), [linear.out_features for linear in linears])
    for name in names:
        delattr(owner, name)


def _laid_out(linear: nn.Linear) -> nn.Module:
    return lay_out(linear.weight.detach(), None if linear.bias is None else linear.bias.detach())


def lay_out(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
    """The layout that was measured faster for the dtype: see LOG.md, 2026-11-22."""
    if weight.dtype == torch.float32:
        return TransposedLinear(weight, bias)
    plain = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    plain.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        plain.bias = nn.Parameter(bias, requires_grad=False)
    return plain
