"""Sliding window: each token sees those nearer than `window`, itself counted.

What: hides what is far. Joined with causal it sees itself and the window - 1 tokens before; alone it looks both ways.
Why: the cost grows with N * window, and layer upon layer the view widens by window - 1 each time.
Math: allow(i, j) = |i - j| < window   (a window of w per side, as Longformer counts, is window = w + 1)
Cost: about N * window scores; a cache of window tokens per layer
Used by: Mistral 7B (causal & sliding_window(4096)), Gemma 2 and 3 in alternate layers
Paper: Jiang et al. 2023, Mistral 7B; Beltagy et al. 2020, Longformer
"""

from dataclasses import dataclass

from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.mask import Mask, Reach, Tile
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(window=3)


@dataclass(frozen=True)
class SlidingWindow(Mask):
    window: int

    @property
    def reach(self) -> Reach:  # type: ignore[override]
        return Reach(back=self.window - 1, ahead=self.window - 1)

    def allow(self, q: Slots, k: Slots) -> Tensor:
        return (q.position[:, :, None] - k.position[:, None, :]).abs() < self.window

    def tile(self, q: range, k: range) -> Tile:
        if k[0] - q[-1] >= self.window or q[0] - k[-1] >= self.window:
            return Tile.EMPTY
        return Tile.FULL if max(k[-1] - q[0], q[-1] - k[0]) < self.window else Tile.MIXED


def build(dims: Dims, window: int) -> Mask:
    """`window` counts the token itself."""
    if window < 1:
        raise VariantError(f"sliding_window: window = {window!r}, expected at least 1")
    return SlidingWindow(window)
