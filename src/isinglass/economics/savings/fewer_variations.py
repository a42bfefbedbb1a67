"""Fewer variations: only the requests that need several answers get them.

What: draws the requests that take part in the comparison; all others get one answer.
Why: a test of variants needs some thousand requests, not all of them.
Math: variations_share of the requests with n answers, the rest with one
Cost: the comparison takes longer to gather as many ratings
Used by: tests of variants on a part of the users
Source: the workload's own figures; isinglass price plan works them out
"""

from collections.abc import Sequence
from dataclasses import dataclass

from isinglass.economics.saving import Branch, Risk, Saving, Share, Verdict
from isinglass.economics.traffic import Part
from isinglass.economics.workload import Situation


@dataclass(frozen=True)
class FewerVariations(Saving):
    @property
    def risk(self) -> Risk:
        return Risk.LOW

    @property
    def loss(self) -> str:
        return "the comparison of variations takes longer; the answers are the same"

    @property
    def steps(self) -> Sequence[str]:
        return ("Draw by user, not by request, who takes part in the comparison.", "Fix the number of ratings beforehand, and stop there.")

    @property
    def shares(self) -> Sequence[Share]:
        return ()  # its share is the workload's, not a number of its own

    def verdict(self, part: Part, situation: Situation) -> Verdict:
        share = situation.workload.variations_share
        if part.answers == 1:
            return Verdict(False, "there is one answer already")
        if share == 1:
            return Verdict(False, f"the workload wants {part.answers} answers to every request (variations_share = 1)")
        return Verdict(True, f"{share:.0%} of the requests need {part.answers} answers")

    def branches(self, part: Part, situation: Situation) -> Sequence[Branch]:
        share = Share("variations_share", situation.workload.variations_share)
        return (Branch(requests=share, label="compared"), Branch(requests=share.rest, prompts=1, answers=1, label="not compared"))


def build() -> Saving:
    """Nothing to set: the workload's `variations_share` decides."""
    return FewerVariations()
