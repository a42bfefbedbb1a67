"""Windows as bands of small matrices: a block of places beside the places around it, so that pairs are products of matrices.

For a block of B centres and a window of w, the contexts are the B + 2 w places from w before the block to w behind it; `mask[i, j]` says
whether context j is within the drawn window of centre i. A pair is never gathered by itself: each place is read once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from isinglass.embedding.static.corpus import Corpus

BLOCK = (
    32  # centres of a block: with a window of 5 half of the scores in the band of 42 would be wasted at 8, and more of the products at 128
)


@dataclass(frozen=True, eq=False)
class Windows:
    """`centres [blocks, B]` and `contexts [blocks, B + 2 window]` are word numbers; `mask [blocks, B, B + 2 window]`."""

    centres: Int[Tensor, "blocks centre"]
    contexts: Int[Tensor, "blocks context"]
    mask: Bool[Tensor, "blocks centre context"]

    @property
    def n_words(self) -> int:
        """Centres that have a context."""
        return int(self.mask.any(-1).sum())


def windows(corpus: Corpus, window: int, *, blocks: int, generator: torch.Generator, fixed: bool = False) -> Iterator[Windows]:
    """All places of a corpus as centres, `blocks` blocks at once, in an order drawn anew.

    The width of each centre's window is drawn from 1 to `window`, which weighs near words more (Mikolov et al. 2013); `fixed` takes the
    whole window.
    """
    n = len(corpus)
    count = -(-n // BLOCK)
    order = torch.randperm(count, generator=generator)
    ids = _padded(corpus.ids, window, count, 0)
    sentence = _padded(corpus.sentence, window, count, -1)
    offset = torch.arange(BLOCK + 2 * window)
    distance = (offset[None, :] - window - torch.arange(BLOCK)[:, None]).abs()  # [centre, context]
    for begin in range(0, count, blocks):
        starts = order[begin : begin + blocks] * BLOCK
        places = starts[:, None] + offset
        contexts, of_context = ids[places], sentence[places]
        of_centre = of_context[:, window : window + BLOCK]
        width = torch.full(of_centre.shape, window)
        if not fixed:
            width = torch.randint(1, window + 1, of_centre.shape, generator=generator)
        near = (distance > 0) & (distance <= width[:, :, None])
        same = (of_centre[:, :, None] == of_context[:, None, :]) & (of_centre[:, :, None] >= 0)
        yield Windows(contexts[:, window : window + BLOCK], contexts, near & same)


def _padded(values: Tensor, window: int, count: int, filling: int) -> Tensor:
    behind = count * BLOCK - len(values) + window
    return torch.cat([values.new_full((window,), filling), values, values.new_full((behind,), filling)])
