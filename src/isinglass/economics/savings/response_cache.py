"""Response cache: a question that was answered before gets the stored answer, and no request is made.

What: keeps answers by the question's text (exact), or by its meaning (semantic: the nearest stored question within a threshold).
Why: support questions repeat. A hit costs nothing and is there at once.
Math: requests * (1 - hit_rate)
Cost: storage; a semantic cache also needs a vector of each question, which a small local model gives
Used by: support desks, search, anything whose questions repeat
Source: the hit rate is measured on a stream of questions: isinglass price cache
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from isinglass.economics.saving import Branch, Risk, Saving, Share, Verdict, decimal
from isinglass.economics.traffic import Part
from isinglass.economics.workload import Situation

EXAMPLE = dict(hit_rate=0.3)
Match = Literal["exact", "semantic"]
FEW = Decimal("0.02")  # wrong answers among the hits that a reviewer may let pass


@dataclass(frozen=True)
class ResponseCache(Saving):
    hit_rate: Decimal
    match: Match
    wrong: Decimal

    @property
    def risk(self) -> Risk:
        if self.match == "exact":
            return Risk.LOW
        return Risk.MEDIUM if self.wrong <= FEW else Risk.HIGH

    @property
    def loss(self) -> str:
        if self.match == "exact":
            return "an answer may be out of date; it is dropped after a time to live and when its source changes"
        return f"{self.wrong:.1%} of the hits answer another question, which only looked alike"

    @property
    def steps(self) -> Sequence[str]:
        key = (
            "the question in lower case without punctuation" if self.match == "exact" else "the nearest stored question above the threshold"
        )
        return (
            f"Look up {key} before the model is asked; keep user data out of the key and of what is stored.",
            "Give stored answers a time to live, and drop those whose source document changes.",
            f"Watch the hit rate: the plan counts on {self.hit_rate:.0%}.",
        )

    @property
    def shares(self) -> Sequence[Share]:
        return (Share("hit_rate", self.hit_rate),)

    def verdict(self, part: Part, situation: Situation) -> Verdict:
        common = 1 - situation.workload.personal_share
        if self.hit_rate > common:
            return Verdict(
                False, f"only {common:.0%} of the answers are the same for everybody, a hit rate of {self.hit_rate:.0%} cannot be"
            )
        return Verdict(True, f"{self.hit_rate:.0%} of the questions were answered before")

    def branches(self, part: Part, situation: Situation) -> Sequence[Branch]:
        return (Branch(requests=Share("hit_rate", self.hit_rate).rest),)


def build(hit_rate: float, match: Match = "exact", wrong: float = 0.0) -> Saving:
    """`hit_rate`: share of the requests that find an answer; `wrong`: share of the hits whose answer belongs to another question."""
    return ResponseCache(decimal("response_cache: hit_rate", hit_rate), match, decimal("response_cache: wrong", wrong))
