"""Range: what a random search draws a setting from."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from isinglass.core.errors import VariantError

_DIGITS = 3  # of a drawn number: enough to search with, and readable in the name of a folder


class Range(ABC):
    """A distribution of one setting. `scale` is the axis on which its values are spread evenly."""

    scale: ClassVar[Literal["linear", "log"]] = "linear"

    @abstractmethod
    def draw(self, source: random.Random) -> Any:
        """One value."""


@dataclass(frozen=True)
class Interval(Range):
    """Numbers between two bounds. VariantError unless low is below high."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise VariantError(f"low = {self.low!r}, high = {self.high!r}: expected low below high")

    def rounded(self, value: float) -> float:
        """Three significant digits, still inside."""
        return min(self.high, max(self.low, float(f"{value:.{_DIGITS}g}")))
