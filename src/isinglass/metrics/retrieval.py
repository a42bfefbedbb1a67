"""How good an order of results is: recall, reciprocal rank and discounted gain, over questions.

`hits[question][rank]` says whether the result at a rank (0 is the first) is right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Hits = Sequence[Sequence[bool]]


def recall(hits: Hits, k: int) -> float:
    """Share of the questions with a right result among the first `k`.

    >>> recall([[False, True], [False, False]], 2)
    0.5
    """
    return float(np.mean([any(some[:k]) for some in hits]))


def reciprocal_rank(hits: Hits) -> float:
    """Mean of 1 / rank of the first right result, 0 where there is none (MRR).

    >>> reciprocal_rank([[False, True], [True, False]])
    0.75
    """
    return float(np.mean([next((1 / rank for rank, hit in enumerate(some, start=1) if hit), 0.0) for some in hits]))


def ndcg(hits: Hits, k: int) -> float:
    """Mean discounted gain of the first `k`, beside the best order of the same results (Järvelin and Kekäläinen 2002); 0 where none
    is right.

    >>> round(ndcg([[False, True]], 2), 4)
    0.6309
    """
    return float(np.mean([_gain(some[:k]) / best if (best := _gain(sorted(some, reverse=True)[:k])) else 0.0 for some in hits]))


def _gain(hits: Sequence[bool]) -> float:
    return sum(1 / np.log2(rank + 1) for rank, hit in enumerate(hits, start=1) if hit)
