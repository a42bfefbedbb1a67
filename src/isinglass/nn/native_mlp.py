"""The feed-forward layer `mlp` with both products and the curve between them in one pass of our own C++."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isinglass.nn.activations import gelu, gelu_tanh, relu, silu
from isinglass.nn.feedforward.mlp import MLP
from isinglass.nn.fused import fused_activation
from isinglass.nn.tap import Tap

_NAMES: dict[object, str] = {fused_activation(curve): curve.__name__ for curve in (gelu, gelu_tanh, relu, silu)}


class NativeMLP(MLP):
    """The layer `mlp` over its own weights; equal to it but for rounding. `native.load("mlp")` comes first.

    Where somebody looks inside, in other number formats and without gradients, it is what it was.
    """

    def __init__(self, mlp: MLP) -> None:
        nn.Module.__init__(self)
        self.activation, self.up_proj, self.down_proj = mlp.activation, mlp.up_proj, mlp.down_proj
        self.operator = f"mlp_{_NAMES[mlp.activation]}"

    def forward(self, x: Tensor, tap: Tap | None = None) -> Tensor:
        autocast = torch.is_autocast_enabled(x.device.type)
        if tap is not None or autocast or x.dtype != torch.float32 or not torch.is_grad_enabled():
            return super().forward(x, tap)
        up, down = self.up_proj, self.down_proj
        return getattr(torch.ops.isinglass, self.operator)(x, up.weight, up.bias, down.weight, down.bias)


def fits(mlp: nn.Module) -> bool:
    """Whether a layer is the plain one with torch's form of its activation: not the user's own, and no adapter in it."""
    return type(mlp) is MLP and mlp.activation in _NAMES and type(mlp.up_proj) is type(mlp.down_proj) is nn.Linear
