"""Inference forms: the same functions by fewer and larger reads of memory. `models.pack` puts them in place of the written-out ones.

The plain modules stay the definition; tests hold these to them within 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.nn.activations import gelu, gelu_tanh, relu, silu
from isinglass.nn.norms import LayerNorm, RMSNorm

LayOut = Callable[[Tensor, Tensor | None], nn.Module]


class Joint(nn.Module):
    """Several linear layers of the same input as one matrix product."""

    def __init__(self, linear: nn.Module, widths: Sequence[int]) -> None:
        super().__init__()
        self.linear = linear
        self.widths = list(widths)

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> tuple[Tensor, ...]:
        return self.linear(x).split(self.widths, dim=-1)


def joined(linears: Sequence[nn.Linear], lay_out: LayOut) -> Joint:
    """Linear layers of the same input, side by side."""
    biases = [layer.bias.detach() for layer in linears if layer.bias is not None]
    weight = torch.cat([layer.weight.detach() for layer in linears])
    return Joint(lay_out(weight, torch.cat(biases) if biases else None), [layer.out_features for layer in linears])


class Concatenated(nn.Module):
    """Weights put side by side anew in each pass: that copy is small beside the product, and one large product is faster than three."""

    def __init__(self, linears: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.linears = tuple(linears)  # a tuple is no submodule: the weights keep the one name they have

    def joined(self) -> tuple[Tensor, Tensor | None]:
        """One weight and one bias, through which gradients come to each layer's own."""
        weights: list[Tensor] = [layer.weight for layer in self.linears]
        biases: list[Tensor] = [layer.bias for layer in self.linears if layer.bias is not None]
        return torch.cat(weights), torch.cat(biases) if biases else None

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        return F.linear(x, *self.joined())


class FrozenLinear(nn.Module):
    """x @ weight.T + bias over weights that are shared, not owned."""

    def __init__(self, weight: Float[Tensor, "d_out d_in"], bias: Tensor | None) -> None:
        super().__init__()
        self.weight = frozen(weight)
        self.bias = None if bias is None else frozen(bias)

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        return F.linear(x, self.weight, self.bias)


class TransposedLinear(nn.Module):
    """The same with the weight stored as (d_in, d_out): the layout the stock fp32 kernels read nearer to memory speed (LOG.md)."""

    def __init__(self, weight: Float[Tensor, "d_out d_in"], bias: Tensor | None) -> None:
        super().__init__()
        self.weight_t = frozen(weight.t().contiguous())
        self.bias = None if bias is None else frozen(bias)

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        y = x @ self.weight_t
        return y if self.bias is None else y + self.bias


class FusedLayerNorm(nn.Module):
    """LayerNorm by torch's own kernel."""

    def __init__(self, norm: LayerNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = frozen(norm.weight.detach()), frozen(norm.bias.detach()), norm.eps

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class FusedRMSNorm(nn.Module):
    """RMSNorm(x) as the first half of LayerNorm(x, -x): their mean is 0 and their variance is the mean of x^2.

    On the CPU torch has one kernel for LayerNorm and only a chain of eight for RMSNorm: 16 against 25 us for 576 numbers (LOG.md).
    """

    def __init__(self, norm: RMSNorm) -> None:
        super().__init__()
        self.width, self.eps = norm.weight.numel(), norm.eps
        weight = norm.weight.detach()
        self.weight = frozen(torch.cat([weight, weight]))

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        both = F.layer_norm(torch.cat([x, -x], dim=-1), (2 * self.width,), self.weight, None, self.eps)
        return both[..., : self.width]


def fused_norm(norm: LayerNorm | RMSNorm) -> nn.Module:
    """The fused form of a norm."""
    return FusedLayerNorm(norm) if isinstance(norm, LayerNorm) else FusedRMSNorm(norm)


def fused_activation(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """torch's one-kernel form of a written-out activation, or the function itself."""
    fused: dict[object, Callable[[Tensor], Tensor]] = {silu: F.silu, gelu: F.gelu, gelu_tanh: _gelu_tanh, relu: F.relu}
    return fused.get(function, function)


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def frozen(tensor: Tensor) -> nn.Parameter:
    """A weight that is shared by copies of a model, and never trained."""
    return nn.Parameter(tensor, requires_grad=False)
