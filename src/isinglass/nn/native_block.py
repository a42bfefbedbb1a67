"""A pre-norm block of GPT-2 in one pass of our own C++: norms, attention, feed-forward layer and both sums."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from isinglass.nn.attention.kernels.sdpa import hidden_places
from isinglass.nn.attention.layer import Attention
from isinglass.nn.attention.native_kernel import MOST_KEYS, NativeSDPA
from isinglass.nn.attention.position import Position
from isinglass.nn.attention.slots import Slots
from isinglass.nn.block import Block
from isinglass.nn.fused import Concatenated, Joint
from isinglass.nn.native_mlp import NativeMLP
from isinglass.nn.tap import Tap


class NativeBlock(Block):
    """The block over its own parts; equal to it but for rounding. `native.load("block")` comes first.

    Where somebody looks inside, for long texts, fewer texts than threads, with dropout, and without gradients it is what it was.
    """

    def __init__(self, block: Block) -> None:
        nn.Module.__init__(self)
        for name, part in block.named_children():
            setattr(self, name, part)
        self._operator = cast(NativeMLP, block.mlp).operator.replace("mlp", "block")

    def forward(self, x: Tensor, *, layer: int, slots: Slots, k_slots: Slots, tap: Tap | None = None, **more: Any) -> Tensor:
        if tap is not None or more.get("cache") is not None or not self._covers(x):
            return super().forward(x, layer=layer, slots=slots, k_slots=k_slots, tap=tap, **more)
        attention, mlp = self.attention, cast(NativeMLP, self.mlp)
        qkv, qkv_bias = cast(Concatenated, cast(Joint, attention.joint).linear).joined()
        weights = [
            *(self.attention_norm.weight, self.attention_norm.bias, qkv, qkv_bias, attention.o_proj.weight, attention.o_proj.bias),
            *(self.mlp_norm.weight, self.mlp_norm.bias, mlp.up_proj.weight, mlp.up_proj.bias, mlp.down_proj.weight, mlp.down_proj.bias),
        ]
        hidden, dims = hidden_places(attention.parts.mask, slots, k_slots, x.dtype), attention.dims
        run = getattr(torch.ops.isinglass, self._operator)
        return run(x, weights, hidden, dims.n_heads, dims.n_kv_heads, self.attention_norm.eps, attention.scale)

    def _covers(self, x: Tensor) -> bool:
        plain = x.dtype == torch.float32 and torch.is_grad_enabled() and not torch.is_autocast_enabled(x.device.type)
        fits = x.shape[1] <= MOST_KEYS and x.shape[0] >= torch.get_num_threads()
        return plain and fits and not (self.training and self.dropout.p)


def fits(block: nn.Module, layer_norm: type[nn.Module]) -> bool:
    """Whether a block is made of what the C++ has; `layer_norm` is the class of LayerNorm in the form that trains."""
    if type(block) is not Block or type(block.mlp) is not NativeMLP:
        return False
    attention, norms = block.attention, (block.attention_norm, block.mlp_norm)
    return (
        all(type(norm) is layer_norm for norm in norms)
        and _plain(attention)
        and type(attention.parts.kernel) is NativeSDPA
        and attention.dims.d_head % 16 == attention.dims.d_model % 16 == block.mlp.up_proj.out_features % 16 == 0
    )


def _plain(attention: Attention) -> bool:
    """Nothing between the products and the sum: no rotation or bias of positions, no adapter."""
    position, linear = type(attention.parts.position), type(attention.o_proj) is nn.Linear
    still = position.rotate is Position.rotate and position.bias is Position.bias
    return still and linear and attention.adapter is None and isinstance(getattr(attention.joint, "linear", None), Concatenated)
