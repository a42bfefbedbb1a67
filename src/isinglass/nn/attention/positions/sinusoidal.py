"""Sinusoidal: fixed waves of growing length, added to the token embedding.

What: even features are sines, odd ones cosines, of wavelengths from 2 pi to base * 2 pi.
Why: needs no training and is defined for every position; a shift is a linear map of the vector.
Math: P[i, 2m] = sin(i / base^(2m/d)), P[i, 2m+1] = cos(i / base^(2m/d))
Cost: none trained
Used by: the original transformer
Paper: Vaswani et al. 2017, Attention Is All You Need, section 3.5
"""

import torch
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
        even = torch.arange(0, self.d_model, 2, device=slots.position.device, dtype=torch.float32)
        angles = slots.position[..., None].float() / self.base ** (even / self.d_model)
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def build(dims: Dims, base: float = 10000.0) -> Position:
    if dims.d_model % 2:
        raise VariantError(f"sinusoidal: d_model = {dims.d_model} is odd, but features come in pairs of sine and cosine")
    return Sinusoidal(dims.d_model, base)
