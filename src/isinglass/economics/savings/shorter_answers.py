"""Shorter answers: the same answer in fewer tokens.

What: asks for brevity in the instruction and ends answers at a limit of tokens.
Why: output costs several times as much as input, so it is most of the bill of a chatbot.
Math: tokens_out * kept
Cost: an answer that is cut may lack its end; the limit is set above what the instruction asks for
Used by: chatbots, where the output is most of the bill
Source: the workload's own figures; isinglass price plan works them out
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from isinglass.economics.saving import Branch, Risk, Saving, Share, Verdict, decimal
from isinglass.economics.traffic import Part
from isinglass.economics.workload import Situation

EXAMPLE = dict(kept=0.8)


@dataclass(frozen=True)
class ShorterAnswers(Saving):
    kept: Decimal

    @property
    def risk(self) -> Risk:
        return Risk.LOW

    @property
    def loss(self) -> str:
        return "detail that some users want; they can ask for it"

    @property
    def steps(self) -> Sequence[str]:
        return (
            "Ask in the system prompt for a short answer, and show one.",
            "Set the limit of output tokens a third above the length that is aimed at, so that sentences end.",
        )

    @property
    def shares(self) -> Sequence[Share]:
        return (Share("kept", self.kept),)

    def verdict(self, part: Part, situation: Situation) -> Verdict:
        if not part.usd:
            return Verdict(False, "the requests cost nothing")
        return Verdict(True, f"the output is {part.output_usd / part.usd_per_request:.1%} of the bill; {self.kept:.0%} of it is kept")

    def branches(self, part: Part, situation: Situation) -> Sequence[Branch]:
        return (Branch(tokens_out=Share("kept", self.kept)),)


def build(kept: float) -> Saving:
    """`kept`: share of the answers' tokens that is left."""
    return ShorterAnswers(decimal("shorter_answers: kept", kept))
