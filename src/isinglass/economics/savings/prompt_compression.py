"""Prompt compression: the same prompt in fewer tokens.

What: leaves out words that carry little (stop words by rule, or words that a small model finds easy to guess).
Why: every request pays for its input. It is worth most where prompts are long: retrieved passages, histories, instructions.
Math: tokens_in * kept
Cost: at most the share of the bill that the input has; what is left out may be missed
Used by: retrieval with long passages, agents with long histories
Paper: Jiang et al. 2023, LLMLingua (the words that a small model finds easy to guess go first)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from isinglass.economics.saving import Branch, Risk, Saving, Share, Verdict, decimal
from isinglass.economics.traffic import Part
from isinglass.economics.workload import Situation

EXAMPLE = dict(kept=0.8)


@dataclass(frozen=True)
class PromptCompression(Saving):
    kept: Decimal

    @property
    def risk(self) -> Risk:
        return Risk.MEDIUM

    @property
    def loss(self) -> str:
        return "a word that is left out may have been the one that mattered; compare answers on a test set first"

    @property
    def steps(self) -> Sequence[str]:
        return (
            "Shorten the instructions by hand first: they are the same in every request.",
            f"Compress what is retrieved or quoted to {self.kept:.0%} of its tokens, never numbers, names and negations.",
            "Compare the answers on a fixed set of questions before and after.",
        )

    @property
    def shares(self) -> Sequence[Share]:
        return (Share("kept", self.kept),)

    def verdict(self, part: Part, situation: Situation) -> Verdict:
        if not part.usd:
            return Verdict(False, "the requests cost nothing")
        share = part.input_usd / part.usd_per_request
        return Verdict(True, f"the input is {share:.1%} of the bill, so no compression saves more; {self.kept:.0%} of it is kept")

    def branches(self, part: Part, situation: Situation) -> Sequence[Branch]:
        return (Branch(tokens_in=Share("kept", self.kept)),)


def build(kept: float) -> Saving:
    """`kept`: share of the input's tokens that is left."""
    return PromptCompression(decimal("prompt_compression: kept", kept))
