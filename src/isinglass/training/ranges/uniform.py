"""Uniform: every number between two bounds is as likely as any other.

What: a number from `low` to `high`, to three significant digits.
Why: for settings whose effect goes with their difference: dropout, a share, a floor. A random point tries a new value of every setting,
     where a grid of as many points tries the same few again and again.
Math: x = low + (high - low) u, u uniform in [0, 1)
Cost: none
Used by: isinglass train search
Paper: Bergstra and Bengio 2012, Random Search for Hyper-Parameter Optimization
"""

import random

from isinglass.training.range import Interval, Range

EXAMPLE = dict(low=0.0, high=0.3)


class Uniform(Interval):
    def draw(self, source: random.Random) -> float:
        return self.rounded(source.uniform(self.low, self.high))


def build(low: float, high: float) -> Range:
    """`low` and `high` are the bounds."""
    return Uniform(float(low), float(high))
