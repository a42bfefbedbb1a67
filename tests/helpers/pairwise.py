"""Choosing few combinations that still bring every pair of values together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product
from random import Random
from typing import Any

FULL = os.environ.get("ISINGLASS_CONTRACT") == "full"
Choice = dict[str, Any]
Pair = frozenset[tuple[str, Any]]


def choices(
    factors: Mapping[str, Sequence[Any]], allowed: Callable[[Choice], bool] = lambda choice: True, drawn: Sequence[str] = ()
) -> list[Choice]:
    """A pairwise cover of the allowed combinations; with ISINGLASS_CONTRACT=full (`make contract`) their full product.

    In the full product the factors named in `drawn` do not multiply: each combination of the others draws an allowed value of theirs.
    """
    if not FULL:
        return pairwise(factors, allowed)
    crossed, random = [name for name in factors if name not in drawn], Random(0)
    beside = [dict(zip(drawn, values, strict=True)) for values in product(*(factors[name] for name in drawn))]
    picked = []
    for values in product(*(factors[name] for name in crossed)):
        chosen = dict(zip(crossed, values, strict=True))
        whole = ({**chosen, **others} for others in random.sample(beside, len(beside)))
        picked += [{name: choice[name] for name in factors} for choice in whole if allowed(choice)][:1]
    return picked


def pairwise(factors: Mapping[str, Sequence[Any]], allowed: Callable[[Choice], bool]) -> list[Choice]:
    """A small set of allowed combinations that has each pair of values of two factors that any allowed one has; the same every time."""
    wanted = [{a: x, b: y} for a, b in combinations(factors, 2) for x, y in product(factors[a], factors[b])]
    missing, picked = {frozenset(pair.items()) for pair in wanted}, []
    for pair in wanted:
        if frozenset(pair.items()) in missing:
            choice = _completed(pair, factors, allowed, missing)
            missing -= {frozenset(two) for two in combinations((choice or pair).items(), 2)}
            picked += [] if choice is None else [choice]
    return [{name: choice[name] for name in factors} for choice in picked]


def _completed(
    chosen: Choice, factors: Mapping[str, Sequence[Any]], allowed: Callable[[Choice], bool], missing: set[Pair]
) -> Choice | None:
    """An allowed combination with these values, the others chosen so that they bring the most missing pairs; None when there is none."""
    name = next((name for name in factors if name not in chosen), None)
    if name is None:
        return chosen if allowed(chosen) else None
    known = list(chosen.items())

    def gain(value: Any) -> int:
        return sum(frozenset(((name, value), other)) in missing for other in known)

    for value in sorted(factors[name], key=gain, reverse=True):
        found = _completed({**chosen, name: value}, factors, allowed, missing)
        if found is not None:
            return found
    return None


def title(choice: Choice) -> str:
    """A readable pytest id."""
    return "-".join(str(value).replace(" ", "") for value in choice.values())
