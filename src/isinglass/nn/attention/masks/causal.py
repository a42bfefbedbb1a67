"""Causal: each token sees itself and what came before.

What: hides the future.
Why: a model that predicts the next token must not see it; and past keys and values never change, so they can be cached.
Math: allow(i, j) = j <= i
Cost: N (N + 1) / 2 scores
Used by: GPT-2, Llama, every decoder
Paper: Vaswani et al. 2017, Attention Is All You Need, section 3.2.3
"""

from dataclasses import dataclass

from torch import Tensor

from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.mask import Mask, Reach, Tile
from isinglass.nn.attention.position import distinct_rows
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict()


@dataclass(frozen=True)
class Causal(Mask):
    causal = True
    reach = Reach(ahead=0)

    def allow(self, q: Slots, k: Slots) -> Tensor:
        return distinct_rows(k)[:, None, :] <= distinct_rows(q)[:, :, None]

    def tile(self, q: range, k: range) -> Tile:
        if k[-1] <= q[0]:
            return Tile.FULL
        return Tile.EMPTY if k[0] > q[-1] else Tile.MIXED


def build(dims: Dims) -> Mask:
    return Causal()
