"""How far two distributions over the same outcomes are apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def jensen_shannon(p: ArrayLike, q: ArrayLike) -> float:
    """Nats: 0 for equal distributions, ln 2 for those that share no outcome. Both are made to sum to 1 first.

    Source: Lin 1991, Divergence measures based on the Shannon entropy.

    >>> round(jensen_shannon([1, 0], [0, 1]), 6)
    0.693147
    """
    one, other = (np.asarray(each, dtype=np.float64) / np.sum(each, dtype=np.float64) for each in (p, q))
    mean = (one + other) / 2
    return max(0.0, float(_relative(one, mean) + _relative(other, mean)) / 2)


def _relative(p: np.ndarray, q: np.ndarray) -> float:
    """Kullback-Leibler divergence; outcomes that p never has add nothing."""
    has = p > 0
    return float(np.sum(p[has] * np.log(p[has] / q[has])))
