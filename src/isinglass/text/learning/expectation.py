"""Unigram's training: many candidate pieces, weighed by expectation maximisation, and the least useful ones dropped until few are left.

Kudo, "Subword Regularization", 2018. The numbers (two passes before each cut, a quarter dropped, 1.1 times the wanted size before the
last cut, pieces expected less than half a time dropped, and digamma instead of the logarithm, a prior for few pieces) are SentencePiece's.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, log

import numpy as np
from numpy.typing import NDArray

from isinglass.text.learning.lattice import Lattice
from isinglass.text.learning.substrings import Candidates, Floats, Ints, remapped

PASSES = 2
KEPT_SHARE = 0.75
SPARE = 1.1
LEAST_EXPECTED = 0.5


class Weighed:
    """Candidates with their log-probabilities. Characters are never dropped, so every word can always be spelled."""

    def __init__(self, candidates: Candidates) -> None:
        self.candidates = candidates
        covered = candidates.frequency * candidates.length  # long pieces begin ahead, as in SentencePiece
        self.scores: Floats = np.log(covered / covered.sum())

    def __len__(self) -> int:
        return len(self.scores)

    def shrinking(self, size: int) -> Iterator[tuple[int, int]]:
        """Weigh and drop until at most `size` pieces are left; yields (passes done, passes in all as it looks now)."""
        spare = max(size, int(size * SPARE))
        done = 0
        while True:
            rounds_left = max(0, ceil(log(max(1.0, len(self) / spare)) / -log(KEPT_SHARE)))
            for more in range(PASSES, 0, -1):
                self._weigh(spare)
                done += 1
                yield done, done + more - 1 + rounds_left * PASSES
            if len(self) <= spare:
                break
            self._prune(max(spare, int(KEPT_SHARE * len(self))))
        self._keep_best(self.scores, size)

    def _weigh(self, least: int) -> None:
        """One pass: expected counts of all pieces, then their probabilities. At least `least` pieces stay."""
        expected, _ = Lattice(self.candidates).expected_counts(self.scores)
        wanted = min(least, len(expected))
        threshold = min(LEAST_EXPECTED, float(np.partition(expected, -wanted)[-wanted]))
        kept = (expected >= threshold) | self._is_character
        expected = np.maximum(expected[kept], LEAST_EXPECTED)
        self.candidates = remapped(self.candidates, kept)
        self.scores = digamma(expected) - digamma(expected.sum(keepdims=True))

    def _prune(self, size: int) -> None:
        """Drop the pieces without which the words lose least likelihood, if each were replaced by its own best cut."""
        frequency = Lattice(self.candidates).best_counts(self.scores)
        owner, part, cut_score = best_cuts(self.candidates, self.scores)
        total = frequency.sum()
        n_parts = np.bincount(owner, minlength=len(self))
        with np.errstate(divide="ignore"):
            own = np.log(frequency) - log(total)
        replaced = np.log(frequency[part] + np.maximum(frequency[owner], np.finfo(float).tiny))
        new_total = np.log(total + frequency * np.maximum(n_parts - 1, 0))
        alternative = np.bincount(owner, replaced, len(self)) - n_parts * new_total
        useful = (frequency > 0) & (cut_score <= self.scores)
        loss = np.full(len(self), -np.inf)  # never used, or never better than its parts: the first to go
        loss[useful] = frequency[useful] * (own[useful] - alternative[useful])
        self._keep_best(loss, size)

    def _keep_best(self, worth: Floats, size: int) -> None:
        """Keep all characters, and of the other pieces the worthiest (of equal ones the earlier), `size` in all."""
        others = np.flatnonzero(~self._is_character)
        best = others[np.argsort(-worth[others], kind="stable")][: max(0, size - (len(self) - len(others)))]
        kept = self._is_character
        kept[best] = True
        self.candidates, self.scores = remapped(self.candidates, kept), self.scores[kept]

    @property
    def _is_character(self) -> NDArray[np.bool_]:
        return self.candidates.length == 1


def best_cuts(candidates: Candidates, scores: Floats) -> tuple[Ints, Ints, Floats]:
    """The best cut of each longer piece into other pieces: (owner, part) for each part, and the score of the cut ("piece"; characters 0).

    A piece stands somewhere in the words, and so do its parts, inside of it: no lookup by spelling is needed.
    """
    with_none = np.append(scores, -np.inf)  # of piece -1, which stands for none
    cut_score = np.zeros(len(scores))
    owners, parts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for length in range(2, int(candidates.length.max(initial=1)) + 1):
        pieces = np.flatnonzero(candidates.length == length)
        place = candidates.place[pieces]
        best = np.zeros((length + 1, len(pieces)))
        begin = np.zeros((length + 1, len(pieces)), np.int64)
        for end in range(1, length + 1):
            best[end] = -np.inf
            for start in range(1 if end == length else 0, end):
                value = best[start] + with_none[candidates.standing[place + start, end - start - 1]]
                better = value > best[end]
                best[end][better], begin[end][better] = value[better], start
        cut_score[pieces] = best[length]
        end, row = np.full(len(pieces), length), np.arange(len(pieces))
        while len(row):
            start = begin[end, row]
            owners.append(pieces[row])
            parts.append(candidates.standing[place[row] + start, end - start - 1].astype(np.int64))
            inside = start > 0
            end, row = start[inside], row[inside]
    return np.concatenate(owners), np.concatenate(parts), cut_score


def digamma(x: Floats) -> Floats:
    """The derivative of log gamma, for positive numbers: the recurrence up to 6, then the asymptotic series (Abramowitz and Stegun 6.3)."""
    x = np.array(x, float)
    result = np.zeros_like(x)
    for _ in range(6):
        small = x < 6
        result[small] -= 1 / x[small]
        x[small] += 1
    square = 1 / (x * x)
    return result + np.log(x) - 0.5 / x - square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square / 240)))
