"""Integers: every whole number between two bounds, both included, is as likely as any other.

What: a whole number from `low` to `high`.
Why: for counts: layers, warm-up steps, ranks.
Math: P(n) = 1 / (high - low + 1)
Cost: none
Used by: isinglass train search
Source: none needed
"""

import random

from isinglass.training.range import Interval, Range

EXAMPLE = dict(low=1, high=4)


class Integers(Interval):
    def draw(self, source: random.Random) -> int:
        return source.randint(int(self.low), int(self.high))


def build(low: int, high: int) -> Range:
    """`low` and `high` are the bounds, both included."""
    return Integers(low, high)
