"""Batch: requests are handed in as a file and answered within a day, at the provider's batch price.

What: uses the provider's batch interface.
Why: batch prices are half of the usual ones at most providers.
Math: the same tokens at batch prices
Cost: the answer may take 24 hours, so nothing that a person waits for
Used by: evaluation, labelling, summaries over night
Source: the providers' pages of prices; prices.toml has a batch price where one is published
"""

from collections.abc import Sequence
from dataclasses import dataclass

from isinglass.core.units import duration
from isinglass.economics.saving import Branch, Risk, Saving, Share, Verdict
from isinglass.economics.traffic import Part
from isinglass.economics.workload import Situation

DAY = 24 * 3600  # seconds within which providers promise a batch


@dataclass(frozen=True)
class Batch(Saving):
    @property
    def risk(self) -> Risk:
        return Risk.NONE

    @property
    def loss(self) -> str:
        return "nothing but time: the model is the same"

    @property
    def steps(self) -> Sequence[str]:
        return ("Collect what nobody waits for, and hand it in as one file in the evening.", "Ask again for those that failed.")

    @property
    def shares(self) -> Sequence[Share]:
        return ()

    def verdict(self, part: Part, situation: Situation) -> Verdict:
        wait = situation.workload.wait_seconds
        if wait is not None and wait < DAY:
            return Verdict(False, f"a batch may take 24 hours, and an answer here may take {duration(wait)}: somebody is waiting for it")
        if part.price.batch is None:
            return Verdict(False, f"no batch price of {part.price.model} is known")
        if part.batch:
            return Verdict(False, "they are a batch already")
        return Verdict(True, "nobody waits for the answers")

    def branches(self, part: Part, situation: Situation) -> Sequence[Branch]:
        return (Branch(batch=True),)


def build() -> Saving:
    """Nothing to set: the price and the time that answers may take decide."""
    return Batch()
