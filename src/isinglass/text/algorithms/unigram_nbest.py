"""The n best cuts of a text under a Unigram vocabulary, and how likely each is among all cuts.

Viterbi keeps the best way to each place; here each place keeps its `count` best. That is exact: the beginning of one of the n best cuts
of a text is one of the n best of its part. Kudo, "Subword Regularization", 2018, samples from these.
"""

from __future__ import annotations

from heapq import nlargest
from math import exp, fsum, inf, log
from typing import NamedTuple

from isinglass.core.errors import ConfigError
from isinglass.text.algorithms.base import Placed
from isinglass.text.algorithms.unigram import Unigram


class Scored(NamedTuple):
    """A cut, the sum of its pieces' log-probabilities, and its share among all cuts of the same text; unknown characters have id -1."""

    score: float
    probability: float
    pieces: list[Placed]


class _Way(NamedTuple):
    """A way to a place: its score, the place it comes from, which of the ways there it continues, and the id of its last piece."""

    score: float
    start: int
    before: int
    id: int


def best_cuts(algorithm: Unigram, word: str, count: int) -> list[Scored]:
    """The `count` best cuts (or as many as there are), best first. Of equal scores the one with the longer last piece comes first.

    Raises ConfigError unless `count` is at least 1. Time O(n · longest piece · count · log count).
    """
    if count < 1:
        raise ConfigError(f"the number of best cuts is {count!r}: expected at least 1")
    arriving: list[list[_Way]] = [[] for _ in range(len(word) + 1)]
    arriving[0] = [_Way(0.0, 0, 0, -1)]
    total = [0.0, *[-inf] * len(word)]  # log of the summed probability of all ways to each place
    for at in range(len(word) + 1):
        # by score alone, and `nlargest` is stable: the earlier start, which is the longer piece, wins ties
        arriving[at] = nlargest(count, arriving[at], key=lambda way: way.score)
        for id, end, score in algorithm.pieces_at(word, at):
            arriving[end] += [_Way(way.score + score, at, place, id) for place, way in enumerate(arriving[at])]
            total[end] = _log_sum(total[end], total[at] + score)
    return [Scored(way.score, exp(way.score - total[-1]), _walk(arriving, way, len(word))) for way in arriving[-1]]


def _log_sum(a: float, b: float) -> float:
    high = max(a, b)
    return high + log(fsum((exp(a - high), exp(b - high)))) if high > -inf else high


def _walk(arriving: list[list[_Way]], way: _Way, end: int) -> list[Placed]:
    pieces: list[Placed] = []
    while end:
        pieces.append((way.id, way.start, end))
        end, way = way.start, arriving[way.start][way.before]
    return pieces[::-1]
