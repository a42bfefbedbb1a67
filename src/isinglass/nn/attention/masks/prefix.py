"""Prefix: the prefix of each row is seen by all its tokens; the rest is causal.

What: a causal mask that is open over the first prefix_length positions of the row (a slot's property); without lengths it is causal.
Why: a prompt is known in full, so it may be read in both directions as by an encoder; what is generated after it may not.
Math: allow(i, j) = j <= i or j < prefix_length
Cost: as causal, and prefix_length^2 / 2 scores
Used by: prefix language models (T5's study, PaliGemma)
Paper: Raffel et al. 2020, T5, section 3.2.1; Dong et al. 2019, UniLM
"""

from dataclasses import dataclass

from torch import Tensor

from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.mask import Mask, Tile
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict()


@dataclass(frozen=True)
class Prefix(Mask):
    def allow(self, q: Slots, k: Slots) -> Tensor:
        before = k.position[:, None, :] <= q.position[:, :, None]
        return before if k.prefix_length is None else before | (k.position < k.prefix_length[:, None])[:, None, :]

    def tile(self, q: range, k: range) -> Tile:
        return Tile.FULL if k[-1] <= q[0] else Tile.MIXED


def build(dims: Dims) -> Mask:
    return Prefix()
