"""Dilated: a sliding window with gaps, so that it looks farther at the same cost.

What: each token sees `window` tokens, itself counted, that stand `dilation` apart; alone it looks both ways.
Why: the view widens by (window - 1) * dilation a layer, while the number of scores stays that of the window.
Math: allow(i, j) = |i - j| < window * dilation and (i - j) mod dilation = 0
Cost: about N * window scores
Used by: Longformer, in the upper layers of its character models
Paper: Beltagy et al. 2020, Longformer, section 3.1
"""

from dataclasses import dataclass

from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.mask import Mask, Reach, Tile
from isinglass.nn.attention.masks.sliding_window import SlidingWindow
from isinglass.nn.attention.masks.strided import Strided
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(window=3, dilation=2)


@dataclass(frozen=True)
class Dilated(Mask):
    window: int
    dilation: int

    @property
    def rule(self) -> Mask:
        """The same as a combination of simpler masks."""
        return SlidingWindow(self.window * self.dilation) & Strided(self.dilation)

    @property
    def reach(self) -> Reach:  # type: ignore[override]
        farthest = (self.window - 1) * self.dilation
        return Reach(back=farthest, ahead=farthest)

    def allow(self, q: Slots, k: Slots) -> Tensor:
        return self.rule.allow(q, k)

    def tile(self, q: range, k: range) -> Tile:
        return self.rule.tile(q, k)


def build(dims: Dims, window: int, dilation: int) -> Mask:
    """`window` counts the token itself; `dilation` 1 is the plain sliding window."""
    if window < 1 or dilation < 1:
        raise VariantError(f"dilated: window = {window!r} and dilation = {dilation!r}, expected at least 1")
    return Dilated(window, dilation)
