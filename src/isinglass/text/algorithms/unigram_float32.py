"""Unigram as SentencePiece computes it: in float32, over the whole text.

Of cuts into the same pieces in another order (`abab...`) none is better, and SentencePiece takes the one that the rounding of its
running total favours: a float32, summed from the start of the text. So a pretoken's cut depends on the total before it. Pieces do not
cross pretokens, so the total at the start of a pretoken is that of the best cut, whatever comes later.

For most pretokens the best cut leads by far more than rounding can take away, and the cut for a total of 0 holds everywhere.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cached_property
from math import inf
from operator import attrgetter
from typing import NamedTuple

from isinglass.text.algorithms.base import Placed
from isinglass.text.algorithms.unigram import Unigram
from isinglass.text.cache import PretokenCache

# A sum x in float32 is wrong by at most this much of |x|.
ROUNDING = 2.0**-24


class Cut(NamedTuple):
    """The best cut of a pretoken for one running total; unknown characters have id -1.

    `cost` is the sum of the pieces' absolute scores. For running totals below `holds_below` (absolute) the cut is the same.
    """

    pieces: list[Placed]
    cost: float
    holds_below: float


_cost, _holds_below = attrgetter("cost"), attrgetter("holds_below")


class Float32Unigram(Unigram):
    """`Unigram` with SentencePiece's choice between equally good cuts."""

    def depend(self, words: Sequence[str]) -> bool:
        cuts = list(map(self._cuts.__getitem__, words))
        # Twice the cost is more than the running total can be, with all its rounding, in a text of up to 2**24 pieces.
        return bool(cuts) and min(map(_holds_below, cuts)) <= 2 * sum(map(_cost, cuts))

    def place(self, word: str) -> list[Placed]:
        return self.fused(word, self._cuts[word].pieces)

    def place_all(self, words: Sequence[str]) -> list[list[Placed]]:
        placed: list[list[Placed]] = []
        total = array("f", [0.0])
        for word in words:
            cut = self._cuts[word]
            if abs(total[0]) >= cut.holds_below:
                cut = self._best_from(total[0], word)
            for id, _, _ in cut.pieces:
                total[0] += self._score(id)
            placed.append(self.fused(word, cut.pieces))
        return placed

    @cached_property
    def _cuts(self) -> PretokenCache[Cut]:
        return PretokenCache(lambda word: self._best_from(0.0, word))

    @cached_property
    def _unknown_score(self) -> float:
        return array("f", [super()._unknown_score])[0]

    @cached_property
    def _largest_score(self) -> float:
        return max(map(abs, (*self.scores, self._unknown_score)))

    def _score(self, id: int) -> float:
        return self.scores[id] if id >= 0 else self._unknown_score

    def _best_from(self, total: float, word: str) -> Cut:
        """Viterbi as SentencePiece does it: sums are rounded before they are compared, and a later cut must be strictly better."""
        length = len(word)
        best = array("f", [total, *[-inf] * length])
        lead = [inf] * (length + 1)  # over the second best
        last: list[Placed] = [(-1, 0, 0)] * (length + 1)
        rounded = array("f", [0.0])
        for start in range(length):
            for id, end, score in self.pieces_at(word, start):
                rounded[0] = best[start] + score
                gain = rounded[0] - best[end]
                if gain > 0:
                    best[end], lead[end], last[end] = rounded[0], gain, (id, start, end)
                else:
                    lead[end] = min(lead[end], -gain)
        pieces: list[Placed] = []
        end = length
        while end:
            pieces.append(last[end])
            end = last[end][1]
        cost = sum(abs(self._score(id)) for id, _, _ in pieces)
        return Cut(pieces[::-1], cost, self._holds_below([(end, lead[end]) for _, _, end in pieces], length))

    def _holds_below(self, leads: list[tuple[int, float]], length: int) -> float:
        """Up to which running total the cut is certain, from its lead at the end of each piece.

        Two cuts of `end` characters are at most `end` rounded sums each, here and where the cut is used again: 4 * (end + 1) roundings.
        Inside the pretoken the total grows by at most one largest score for each character.
        """
        least = min((lead / (4 * (end + 1)) for end, lead in leads), default=inf)
        return least / ROUNDING - (length + 1) * self._largest_score
