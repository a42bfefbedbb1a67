"""The nonlinear functions of the feed-forward layers, written out."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from isinglass.core.errors import VariantError, unknown


def gelu(x: Tensor) -> Tensor:
    """x * Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016)."""
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def gelu_tanh(x: Tensor) -> Tensor:
    """The tanh form of GELU that GPT-2 was trained with; differs from `gelu` by at most 5e-4."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x.pow(3))))


def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x), also called swish (Ramachandran et al. 2017)."""
    return x * torch.sigmoid(x)


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return x.clamp(min=0)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {f.__name__: f for f in (gelu, gelu_tanh, silu, relu)}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function of that name; VariantError lists the known ones."""
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS, error=VariantError)
    return ACTIVATIONS[name]
