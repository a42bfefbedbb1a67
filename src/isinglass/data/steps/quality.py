"""Quality: rules of thumb that tell prose from lists, code, menus and noise.

What: Each rule has a name and the threshold of its paper, and the first that a text breaks is the reason why it is dropped: Gopher's of
length, words, symbols, stop words and repetition, or C4's of lines and sentences. C4's rules also take out single lines. `skip` names rules
that are not asked, such as word_count for texts that are short by nature.

Why: Models learn most from connected text; what one rule cuts is easy to check by reading what was dropped and why.

Math: drop when least <= measure(text) <= most does not hold for a rule

Cost: linear in the text; Gopher's repetition counts n-grams for n = 2 .. 10

Used by: Gopher, RefinedWeb, FineWeb (gopher); T5, LLaMA (c4)

Paper: Rae et al. 2021, Scaling Language Models: Methods, Analysis & Insights from Training Gopher, appendix A.1; Raffel et al. 2020,
Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer, section 2.2
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from isinglass.core.errors import VariantError, unknown
from isinglass.data import c4, gopher
from isinglass.data.step import TextStep, Verdict

EXAMPLE = dict(rules="gopher", skip=("word_count",))
_SETS: dict[str, tuple[Callable[[str, frozenset[str]], Verdict], Iterable[str]]] = {
    "gopher": (gopher.judge, gopher.RULES),
    "c4": (c4.judge, c4.RULES),
}


@dataclass(frozen=True)
class Quality(TextStep):
    """A set of rules, without those in `skip`."""

    rules: str
    skip: frozenset[str]

    def judge(self, text: str) -> Verdict:
        return _SETS[self.rules][0](text, self.skip)


def build(rules: Literal["gopher", "c4"] = "gopher", skip: tuple[str, ...] = ()) -> Quality:
    """The step; `rules` is gopher or c4, `skip` names rules that are not asked."""
    for name in skip:
        if name not in _SETS[rules][1]:
            raise unknown("rule", name, _SETS[rules][1], where=f"quality(rules={rules!r})", error=VariantError)
    return Quality(rules, frozenset(skip))
