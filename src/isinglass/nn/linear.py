"""Inference forms of a linear layer. Training and export use plain `nn.Linear`; `models.pack` puts these in its place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Joint(nn.Module):
    """Several linear layers of the same input as one matrix product: fewer, larger reads of memory per token."""

    def __init__(self, linear: nn.Module, widths: Sequence[int]) -> None:
        super().__init__()
        self.linear = linear
        self.widths = list(widths)

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> tuple[Tensor, ...]:
        return self.linear(x).split(self.widths, dim=-1)


class TransposedLinear(nn.Module):
    """x @ w_t + bias with the weight stored as (d_in, d_out).

    The stock fp32 kernels read this layout nearer to memory speed for one row: 21 against 10-17 GB/s (LOG.md, 2026-11-22).
    """

    def __init__(self, weight: Float[Tensor, "d_out d_in"], bias: Tensor | None) -> None:
        super().__init__()
        self.weight_t = nn.Parameter(weight.t().contiguous(), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        y = x @ self.weight_t
        return y if self.bias is None else y + self.bias


def joined(linears: Sequence[nn.Linear]) -> nn.Linear:
    """One linear layer whose output is the outputs of `linears` side by side."""
    weight = torch.cat([layer.weight.detach() for layer in linears])
    biases = [layer.bias.detach() for layer in linears if layer.bias is not None]
    result = nn.Linear(weight.shape[1], weight.shape[0], bias=bool(biases), device="meta")
    result.weight = nn.Parameter(weight, requires_grad=False)
    if biases:
        result.bias = nn.Parameter(torch.cat(biases), requires_grad=False)
    return result
