"""One order from several: reciprocal rank fusion, which needs no scores that can be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)
K = 60  # Cormack, Clarke and Buettcher 2009: so that the first of one list does not outweigh the second of two


def reciprocal_rank_fusion(orders: Sequence[Sequence[T]], *, k: int = K) -> list[tuple[T, float]]:
    """Every item with the sum of 1 / (k + rank) over the orders that have it (rank 1 is the first), the largest first.

    >>> [item for item, _ in reciprocal_rank_fusion([["a", "b", "c"], ["b", "d"]])]
    ['b', 'a', 'd', 'c']
    """
    scores: defaultdict[T, float] = defaultdict(float)
    for order in orders:
        for rank, item in enumerate(order, start=1):
            scores[item] += 1 / (k + rank)
    return sorted(scores.items(), key=lambda pair: -pair[1])
