"""How varied a text is."""

from __future__ import annotations

from collections.abc import Sequence


def distinct(ids: Sequence[int], n: int) -> float:
    """Distinct-n: the share of different ones among all runs of `n` tokens, 0..1. A text without such a run repeats nothing: 1.0.

    Source: Li et al. 2016, A Diversity-Promoting Objective Function for Neural Conversation Models.

    >>> distinct([1, 2, 1, 2, 1], 2)
    0.5
    """
    runs = list(zip(*(ids[start:] for start in range(n)), strict=False))
    return len(set(runs)) / len(runs) if runs else 1.0
