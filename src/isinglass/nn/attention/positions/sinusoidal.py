"""Sinusoidal: fixed waves of growing length, added to the token embedding.

What: even features are sines, odd ones cosines, of wavelengths from 2 pi to base * 2 pi.
Why: needs no training and is defined for every position; a shift is a linear map of the vector.
Math: P[i, 2m] = sin(i / base^(2m/d)), P[i, 2m+1] = cos(i / base^(2m/d))
Cost: none trained
Used by: the original transformer
Paper: Vaswani et al. 2017, Attention Is All You Need, section 3.5
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.position import Position
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(base=10000.0)


class Sinusoidal(Position):
    def __init__(self, d_model: int, base: float) -> None:
        super().__init__()
        self.d_model, self.base = d_model, base

    def embed(self, slots: Slots) -> Tensor:
        return waves(slots.position, self.d_model, self.base)


def waves(position: Int[Tensor, "*shape"], width: int, base: float) -> Float[Tensor, "*shape width"]:
    """Sines and cosines of each position, or of any other whole number; `width` is even."""
    even = torch.arange(0, width, 2, device=position.device, dtype=torch.float32)
    angles = position[..., None].float() / base ** (even / width)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def build(dims: Dims, base: float = 10000.0) -> Position:
    if dims.d_model % 2:
        raise VariantError(f"sinusoidal: d_model = {dims.d_model} is odd, but features come in pairs of sine and cosine")
    return Sinusoidal(dims.d_model, base)
