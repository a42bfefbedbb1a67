"""Strided: each token sees every stride-th token, counted from itself.

What: hides all distances that are no multiple of `stride`.
Why: joined with a sliding window of one stride, any two tokens are two layers apart, at N * sqrt(N) cost when stride is near sqrt(N).
Math: allow(i, j) = (i - j) mod stride = 0
Cost: N^2 / stride scores
Used by: Sparse Transformer (causal & (sliding_window(128) | strided(128)))
Paper: Child et al. 2019, Generating Long Sequences with Sparse Transformers, section 4.2
"""

from dataclasses import dataclass

from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.mask import Mask, Tile
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(stride=3)


@dataclass(frozen=True)
class Strided(Mask):
    stride: int

    def allow(self, q: Slots, k: Slots) -> Tensor:
        return (q.position[:, :, None] - k.position[:, None, :]) % self.stride == 0

    def tile(self, q: range, k: range) -> Tile:
        nearest, farthest = q[0] - k[-1], q[-1] - k[0]
        some = farthest // self.stride * self.stride >= nearest
        if not some:
            return Tile.EMPTY
        return Tile.FULL if nearest == farthest or self.stride == 1 else Tile.MIXED


def build(dims: Dims, stride: int) -> Mask:
    if stride < 1:
        raise VariantError(f"strided: stride = {stride!r}, expected at least 1")
    return Strided(stride)
