"""Choosing few combinations that still bring every pair of values together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product
from typing import Any

FULL = os.environ.get("ISINGLASS_CONTRACT") == "full"
Choice = dict[str, Any]


def choices(factors: Mapping[str, Sequence[Any]], allowed: Callable[[Choice], bool] = lambda choice: True) -> list[Choice]:
    """All allowed combinations when ISINGLASS_CONTRACT=full (`make contract`), else a pairwise cover of them."""
    everything = [c for values in product(*factors.values()) if allowed(c := dict(zip(factors, values, strict=True)))]
    return everything if FULL else pairwise(everything)


def pairwise(everything: Sequence[Choice]) -> list[Choice]:
    """A small subset in which each pair of values of two factors that occurs in `everything` occurs; the same every time."""
    left = {index: _pairs(choice) for index, choice in enumerate(everything)}
    missing = set().union(*left.values()) if left else set()
    picked = []
    while missing:
        best = max(left, key=lambda index: (len(left[index] & missing), -index))
        missing -= left.pop(best)
        picked.append(everything[best])
    return picked


def _pairs(choice: Choice) -> frozenset[tuple[tuple[str, str], ...]]:
    return frozenset(combinations([(name, repr(value)) for name, value in choice.items()], 2))


def title(choice: Choice) -> str:
    """A readable pytest id."""
    return "-".join(str(value).replace(" ", "") for value in choice.values())
