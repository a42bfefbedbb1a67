"""Banded: exact attention for local masks, computing only the band near the diagonal.

What: the queries are cut into blocks; each block with the keys its band can reach is a small attention problem, and all of them
      are solved at once as one batch.
Why: a sliding window over a long text costs what the window costs, not what the text costs, without a custom program for the device.
Math: with blocks of B queries and a mask that reaches back and ahead: block n attends to keys n B - back ... n B + B - 1 + ahead
Cost: 4 N (B + back + ahead) d_head FLOPs per head, memory in the same proportion; B = max(back, ahead) + 1
Used by: causal & sliding_window(w), dilated(w, d)
Paper: Beltagy et al. 2020, Longformer, section 3.2 (sliding chunks)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.nn.attention.kernel import Bias, Kernel
from isinglass.nn.attention.kernels.sdpa import SDPA
from isinglass.nn.attention.mask import Mask
from isinglass.nn.attention.position import Position
from isinglass.nn.attention.slots import Slots, first_place

EXAMPLE = dict(block=2)


class Banded(Kernel):
    """Each block is solved by `inner`. Rows in which places and positions do not count up together go to it whole: packed rows, rings."""

    def __init__(self, inner: Kernel, block: int) -> None:
        self.inner, self.block = inner, block

    def supports(self, mask: Mask, position: Position) -> str | None:
        reach = mask.reach
        if reach.back is None or reach.ahead is None or reach.first:
            return (
                "it needs a mask with a finite reach back and ahead and no first tokens, such as causal & sliding_window(256); "
                "flash takes every mask and skips what it hides"
            )
        return self.inner.supports(mask, position)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, q_slots: Slots, k_slots: Slots, mask: Mask, bias: Bias, scale: float) -> Tensor:
        start = q_slots.once(("first place", id(k_slots)), lambda: first_place(q_slots, k_slots))
        back, ahead = mask.reach.back or 0, mask.reach.ahead or 0
        block = max(self.block, back + 1, ahead + 1)
        if start is None or block + back + ahead >= k.shape[2]:
            return self.inner.attend(q, k, v, q_slots=q_slots, k_slots=k_slots, mask=mask, bias=bias, scale=scale)
        band = Band(start, q.shape[2], k.shape[2], block, back, ahead)
        q, k, v = band.of_queries(q), band.of_keys(k), band.of_keys(v)
        # once per pass, so that the inner kernel makes its mask once for all layers
        q_slots, k_slots = q_slots.once((band, id(k_slots)), lambda: band.of_slots(q_slots, k_slots))
        out = self.inner.attend(q, k, v, q_slots=q_slots, k_slots=k_slots, mask=mask, bias=bias, scale=scale)
        return band.unfolded(out)


@dataclass(frozen=True)
class Band:
    """How `queries`, the first of which stands at place `start` of `keys`, fall into blocks."""

    start: int
    queries: int
    keys: int
    block: int
    back: int
    ahead: int

    @property
    def blocks(self) -> int:
        return -(-self.queries // self.block)

    def of_queries(self, x: Tensor) -> Tensor:
        """(batch, heads, query, d_head) -> (batch blocks, heads, block, d_head)."""
        return _folded(F.pad(x, (0, 0, 0, self.blocks * self.block - self.queries)), self.block, self.block)

    def of_keys(self, x: Tensor) -> Tensor:
        """(batch, heads, key, d_head) -> (batch blocks, heads, back + block + ahead, d_head); zeros where the text has ended."""
        # a negative number cuts off what no query reaches
        before, after = self.back - self.start, self.start + self.blocks * self.block + self.ahead - self.keys
        return _folded(F.pad(x, (0, 0, before, after)), self.back + self.block + self.ahead, self.block)

    def of_slots(self, q: Slots, k: Slots) -> tuple[Slots, Slots]:
        """The slots of the blocks; outside the text is padding."""
        valid = torch.ones_like(k.position, dtype=torch.bool) if k.valid is None else k.valid
        return _mapped(q, q.valid, self.of_queries, self.blocks), _mapped(k, valid, self.of_keys, self.blocks)

    def unfolded(self, x: Tensor) -> Tensor:
        """(batch blocks, heads, block, d_head) -> (batch, heads, query, d_head)."""
        return x.unflatten(0, (-1, self.blocks)).transpose(1, 2).flatten(2, 3)[:, :, : self.queries]


def _folded(x: Tensor, size: int, step: int) -> Tensor:
    return x.unfold(2, size, step).transpose(1, 2).flatten(0, 1).transpose(-1, -2)


def _mapped(slots: Slots, valid: Tensor | None, change: Callable[[Tensor], Tensor], blocks: int) -> Slots:
    def fold(x: Tensor | None) -> Tensor | None:
        return None if x is None else change(x[:, None, :, None])[:, 0, :, 0]

    lengths = None if slots.prefix_length is None else slots.prefix_length.repeat_interleave(blocks)
    return Slots(change(slots.position[:, None, :, None])[:, 0, :, 0], fold(valid), fold(slots.document), lengths)


def build(dims: object, block: int = 32) -> Kernel:
    """Blocks have at least `block` queries: smaller ones cost more in overhead than they save in scores."""
    if block < 1:
        raise VariantError(f"banded: block = {block!r}, expected at least 1")
    return Banded(SDPA(), block)
