"""How sure a model was, and how likely a text is to it; from log-probabilities in nats."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def entropy(log_probs: ArrayLike) -> np.ndarray:
    """Nats of doubt in each distribution of the last axis: 0 when one outcome is certain, log(n) when n are equally likely.

    >>> float(entropy([[0.0, float("-inf")], [math.log(0.5)] * 2]).sum())
    0.6931471805599453
    """
    values = np.asarray(log_probs, dtype=np.float64)
    # 0 log 0 = 0
    return -np.sum(np.exp(values) * np.where(np.isfinite(values), values, 0.0), axis=-1) + 0.0


def perplexity(log_probs: Sequence[float]) -> float | None:
    """exp of the mean surprise: so many equally likely tokens would be as hard to guess; None without a token.

    >>> perplexity([math.log(0.25), math.log(0.25)])
    4.0
    """
    return math.exp(-sum(log_probs) / len(log_probs)) if log_probs else None
