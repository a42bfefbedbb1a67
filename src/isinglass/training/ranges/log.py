"""Log: every order of magnitude between two bounds is as likely as any other.

What: a number from `low` to `high` whose logarithm is uniform, to three significant digits.
Why: for settings whose effect goes with their ratio: learning rates, weight decay. Uniform between 0.0001 and 0.01 would draw nine
     of ten values above 0.001.
Math: x = exp(log low + (log high - log low) u), u uniform in [0, 1)
Cost: none
Used by: isinglass train search
Paper: Bergstra and Bengio 2012, Random Search for Hyper-Parameter Optimization
"""

import math
import random
from typing import ClassVar, Literal

from isinglass.core.errors import VariantError
from isinglass.training.range import Interval, Range

EXAMPLE = dict(low=1e-4, high=1e-2)


class Log(Interval):
    scale: ClassVar[Literal["linear", "log"]] = "log"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low <= 0:
            raise VariantError(f"log: low = {self.low!r}, expected more than 0", hint="uniform(low, high) may begin at 0")

    def draw(self, source: random.Random) -> float:
        return self.rounded(math.exp(source.uniform(math.log(self.low), math.log(self.high))))


def build(low: float, high: float) -> Range:
    """`low` and `high` are the bounds, both above 0."""
    return Log(float(low), float(high))
