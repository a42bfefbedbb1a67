"""Full: every token sees every token.

What: nothing is hidden.
Why: encoders read a finished text, so each token may use what comes before and after it.
Math: allow(i, j) = true
Cost: N^2 scores
Used by: BERT, the encoder of T5
Paper: Vaswani et al. 2017, Attention Is All You Need
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.mask import Mask, Tile
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict()


@dataclass(frozen=True)
class Full(Mask):
    def allow(self, q: Slots, k: Slots) -> Tensor:
        shape = (k.position.shape[0], q.position.shape[1], k.position.shape[1])
        return torch.ones(shape, dtype=torch.bool, device=q.position.device)

    def tile(self, q: range, k: range) -> Tile:
        return Tile.FULL


def build(dims: Dims) -> Mask:
    return Full()
