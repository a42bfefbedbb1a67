"""Llama 3: slow waves are stretched by `factor`, fast ones are kept, those between are blended.

What: scaling by wavelength.
Why: fast waves tell neighbours apart and were seen in full during training; only the slow ones meet new angles in longer inputs.
Math: with w = 2 pi / theta: theta if w < context/high; theta / factor if w > context/low; else the mean of both weighted by
      (context / w - low) / (high - low)
Cost: none
Used by: Llama 3.1 and later
Paper: Grattafiori et al. 2024, The Llama 3 Herd of Models
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.position import Scaling

EXAMPLE = dict(factor=8.0, low=1.0, high=4.0, original_context=8192)


@dataclass(frozen=True)
class Llama3(Scaling):
    factor: float
    low: float
    high: float
    original_context: int

    def __call__(self, frequencies: Tensor) -> Tensor:
        wavelength = 2 * math.pi / frequencies
        blend = ((self.original_context / wavelength - self.low) / (self.high - self.low)).clamp(0, 1)
        between = (1 - blend) * frequencies / self.factor + blend * frequencies
        slow = wavelength > self.original_context / self.low
        fast = wavelength < self.original_context / self.high
        return torch.where(slow, frequencies / self.factor, torch.where(fast, frequencies, between))


def build(dims: Dims, factor: float = 8.0, low: float = 1.0, high: float = 4.0, original_context: int = 8192) -> Scaling:
    """`low` and `high` are waves per original context below and above which a wave counts as slow or fast."""
    return Llama3(factor, low, high, original_context)
