"""Sample: draws from the distribution, after filters.

What: repetition, ban, temperature, top-k, top-p and min-p in this order, then one random draw per row.
Why: variety; the filters cut the tail that makes free sampling wander.
Math: id ~ softmax(filters(logits))
Cost: one sort of the vocabulary when top_p is set
Used by: every chat service
Paper: Holtzman et al. 2019, The Curious Case of Neural Text Degeneration
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

from torch import Tensor

from isinglass.generation.filters import ban as ban_filter
from isinglass.generation.filters import min_p as min_p_filter
from isinglass.generation.filters import repetition as repetition_filter
from isinglass.generation.filters import temperature as temperature_filter
from isinglass.generation.filters import top_k as top_k_filter
from isinglass.generation.filters import top_p as top_p_filter
from isinglass.generation.sampling import Chooser, Filter, Row, Strategy, draw

EXAMPLE = dict(temperature=0.8, top_p=0.9)


@dataclass(frozen=True)
class Sample(Chooser):
    before: tuple[Filter, ...]  # repetition and ban act on the raw logits
    temperature: float | None
    after: tuple[Filter, ...]

    def with_temperature(self, temperature: float) -> Strategy | None:
        return replace(self, temperature=temperature) if self.temperature is None else None

    def choose(self, logits: Tensor, rows: Sequence[Row]) -> list[int]:
        return [draw(self.law(logit, row.ids), row.generator) for logit, row in zip(logits, rows, strict=True)]

    def law(self, logits: Tensor, ids: Sequence[int]) -> Tensor:
        heat = temperature_filter.build(1.0 if self.temperature is None else self.temperature)
        return reduce(lambda x, f: f(x, ids), (*self.before, heat, *self.after), logits)


def build(
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition: float | None = None,
    ban: Sequence[int] = (),
) -> Strategy:
    """Each setting left out changes nothing; temperature 0 is greedy."""
    if temperature is not None:
        temperature_filter.build(temperature)  # refuses a negative one now, not at the first token
    before = [repetition_filter.build(repetition)] if repetition is not None else []
    before += [ban_filter.build(ban)] if ban else []
    made = ((top_k_filter, top_k), (top_p_filter, top_p), (min_p_filter, min_p))
    return Sample(tuple(before), temperature, tuple(module.build(value) for module, value in made if value is not None))
