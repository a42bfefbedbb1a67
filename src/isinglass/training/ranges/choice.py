"""Choice: every value of a list is as likely as any other.

What: one of the values; expressions may stand without quotes, as in choice(adamw(lr=0.001), muon(lr=0.01)).
Why: for names: optimizers, schedules, positions, masks.
Math: P(v) = 1 / n
Cost: none
Used by: isinglass train search
Source: none needed
"""

import random
from dataclasses import dataclass
from typing import Any

from isinglass.core.errors import VariantError
from isinglass.core.variants import Call, Combined
from isinglass.training.range import Range


@dataclass(frozen=True)
class Choice(Range):
    values: tuple[Any, ...]

    def draw(self, source: random.Random) -> Any:
        return source.choice(self.values)


def build(*values: Any) -> Range:
    """`values` are what is chosen from. VariantError without any."""
    if not values:
        raise VariantError("choice() has nothing to choose from", hint="choice('rotary', 'alibi')")
    return Choice(tuple(_plain(value) for value in values))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Call | Combined) else value
