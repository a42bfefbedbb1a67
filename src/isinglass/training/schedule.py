"""Schedule: what the learning rate is multiplied by at each step. A climb from near 0 to 1, then whatever the variant says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

from isinglass.core.errors import VariantError


@dataclass(frozen=True)
class Schedule(ABC):
    """`warmup` is a number of steps (int) or a share of all steps (float); `floor` the share of the learning rate that is left at the end.

    A value without state: the factor of step 700 of 1,000 is the same whether a run was interrupted or not.
    VariantError for lengths and shares that cannot be.
    """

    warmup: int | float = 0
    floor: float = 0.0

    def __post_init__(self) -> None:
        check_length("warmup", self.warmup)
        if not 0 <= self.floor <= 1:
            raise VariantError(f"floor = {self.floor!r}, expected a share from 0 to 1", hint="0.1 ends at a tenth of the learning rate")

    @final
    def factor(self, step: int, steps: int) -> float:
        """The factor of step 0 ... steps - 1; later steps stay at what the last ones tend to.

        The warm-up is (step + 1) / (warmup + 1), so that the first step trains too. A run shorter than its warm-up ends while climbing.
        """
        first = n_steps(self.warmup, steps)
        if step < first:
            return (step + 1) / (first + 1)
        return self.floor + (1 - self.floor) * self.level(min(step, steps), first, steps)

    @abstractmethod
    def level(self, step: int, first: int, steps: int) -> float:
        """Between 1, at step `first` where the warm-up is over, and 0, which `floor` stands for."""


def n_steps(length: int | float, steps: int) -> int:
    """A length in steps: an int is one, a float is a share of all steps.

    >>> n_steps(100, 2000), n_steps(0.1, 2000)
    (100, 200)
    """
    return length if isinstance(length, int) else round(length * steps)


def progress(step: int, first: int, steps: int) -> float:
    """How far `step` is on the way from `first` to `steps`, 0 to 1."""
    return min(1.0, max(0.0, (step - first) / max(1, steps - first)))


def check_length(name: str, length: int | float) -> None:
    """VariantError for what is neither a number of steps nor a share of them."""
    fits = length >= 0 if isinstance(length, int) else 0 <= length < 1
    if not fits:
        raise VariantError(
            f"{name} = {length!r}, expected a number of steps (an int, 0 or more) or a share of all steps (0.0 to below 1.0)",
            hint=f"{name}=100 is a hundred steps, {name}=0.05 a twentieth of the run",
        )
