"""Global tokens: the first `count` tokens see all and are seen by all.

What: opens the first rows and columns of the matrix.
Why: a few tokens carry news across the whole text, so that local attention between all others suffices.
Math: allow(i, j) = i < count or j < count
Cost: about 2 N * count scores
Used by: Longformer (sliding_window(257) | global_tokens(1)), BigBird; attention sinks: causal & (sliding_window(1024) | global_tokens(4))
Paper: Beltagy et al. 2020, Longformer, section 3.1; Xiao et al. 2023, StreamingLLM
"""

from dataclasses import dataclass

from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.mask import Mask, Reach, Tile
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(count=2)


@dataclass(frozen=True)
class GlobalTokens(Mask):
    count: int

    @property
    def reach(self) -> Reach:  # type: ignore[override]
        # what lies behind a query is one of the first tokens, or the query is one itself and looks ahead
        return Reach(back=0, first=self.count)

    def allow(self, q: Slots, k: Slots) -> Tensor:
        return (q.position < self.count)[:, :, None] | (k.position < self.count)[:, None, :]

    def tile(self, q: range, k: range) -> Tile:
        if q[-1] < self.count or k[-1] < self.count:
            return Tile.FULL
        return Tile.EMPTY if q[0] >= self.count and k[0] >= self.count else Tile.MIXED


def build(dims: Dims, count: int) -> Mask:
    if count < 1:
        raise VariantError(f"global_tokens: count = {count!r}, expected at least 1")
    return GlobalTokens(count)
