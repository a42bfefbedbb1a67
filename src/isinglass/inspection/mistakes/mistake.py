"""A mistake is a small change of a definition, with words; the one whose output equals the student's is what the student did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Generic, TypeVar

import torch
from torch import Tensor

from isinglass.core.errors import IsinglassError

S = TypeVar("S")
W = TypeVar("W")
CLOSE = 2e-5  # of the largest value, or of 1: fp32 over widths of 32 is right to 1e-6, the mildest mistake (GELU's form) is off by 2e-4


@dataclass(frozen=True)
class Mistake(Generic[S]):
    """`words` end the sentence "your output equals ours ..."; `hint` says how the line reads when it is right.

    `right` marks another choice that is as good: a form that real models have too.
    """

    name: str
    words: str
    hint: str
    change: Callable[[S], S]
    right: bool = False


def lifted(mistake: Mistake[S], lift: Callable[[W, Callable[[S], S]], W]) -> Mistake[W]:
    """The same mistake in a part of something larger; `lift` applies a change to that part."""
    return Mistake(mistake.name, mistake.words, mistake.hint, lambda whole: lift(whole, mistake.change), mistake.right)


@dataclass(frozen=True)
class Diagnosis(Generic[S]):
    """The mistakes whose variant equals what was seen, none for the definition itself; `difference` is what is left."""

    mistakes: tuple[Mistake[S], ...]
    difference: float

    @property
    def right(self) -> bool:
        return all(mistake.right for mistake in self.mistakes)


def difference(a: Tensor, b: Tensor) -> float:
    """The largest difference of two tensors; NaN beside NaN is none, NaN beside a number is infinite, as are unequal shapes."""
    if a.shape != b.shape:
        return float("inf")
    apart = (a - b).abs().double()
    apart = apart.masked_fill((a == b) | (a.isnan() & b.isnan()), 0.0)
    return float(apart.nan_to_num(float("inf"), float("inf")).max()) if apart.numel() else 0.0


def equal(seen: Tensor, ours: Tensor) -> bool:
    largest = float(ours.nan_to_num(0.0, 0.0, 0.0).abs().max()) if ours.numel() else 0.0
    return difference(seen, ours) <= CLOSE * max(1.0, largest)


def diagnose(
    seen: Tensor, make: Callable[[S], Tensor], definition: S, mistakes: Sequence[Mistake[S]], *, together: int = 2
) -> Diagnosis[S] | None:
    """The definition, or the fewest mistakes (at most `together` at once), whose output equals what was seen; None when none does."""
    for chosen in _choices(mistakes, together):
        steps = definition
        for mistake in chosen:
            steps = mistake.change(steps)
        try:
            ours = make(steps)
        except (RuntimeError, IndexError, IsinglassError):
            continue  # a variant that cannot be computed with these weights is not what the student did
        if equal(seen, ours):
            return Diagnosis(tuple(chosen), difference(seen, ours))
    return None


def _choices(mistakes: Sequence[Mistake[S]], together: int) -> Iterator[tuple[Mistake[S], ...]]:
    yield ()
    ranked = sorted(mistakes, key=lambda mistake: not mistake.right)  # what is as good is tried before what is wrong
    for n in range(1, together + 1):
        yield from combinations(ranked, n)


def largest_difference(seen: Tensor, ours: Tensor) -> str:
    """Where two tensors of one shape are furthest apart, in words."""
    apart = (seen - ours).abs().nan_to_num(float("inf"), float("inf"))
    place = [int(i) for i in torch.unravel_index(apart.argmax(), apart.shape)]
    return f"{float(apart.max()):.2g} at {place}: yours {float(seen[tuple(place)]):.4g}, ours {float(ours[tuple(place)]):.4g}"
