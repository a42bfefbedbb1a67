"""Smaller model: all requests go to a cheaper model.

What: changes the name of the model.
Why: prices of the models of one provider differ by a factor of ten and more.
Math: all requests at the prices of `to`
Cost: quality, of which nobody can say how much without a test set of one's own
Used by: classification, extraction and other narrow tasks
Source: the workload's own figures; isinglass price plan works them out
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from isinglass.economics.saving import Branch, Risk, Saving, Share, Verdict, decimal
from isinglass.economics.savings.routing import cheaper
from isinglass.economics.traffic import Part
from isinglass.economics.workload import Situation

EXAMPLE = dict(to="gpt-4o-mini")
AS_GOOD = Decimal("0.95")  # share of a test set that must come out at least as well


@dataclass(frozen=True)
class SmallerModel(Saving):
    to: str
    as_good: Decimal | None

    @property
    def risk(self) -> Risk:
        return Risk.MEDIUM if self.as_good is not None and self.as_good >= AS_GOOD else Risk.HIGH

    @property
    def loss(self) -> str:
        if self.as_good is None:
            return f"nobody has compared the answers of {self.to} with those of the present model"
        return f"{1 - self.as_good:.1%} of the answers are worse"

    @property
    def steps(self) -> Sequence[str]:
        return (
            f"Answer a test set of your own with {self.to}, and have the answers rated side by side.",
            "Change the model for a small share of the users first.",
        )

    @property
    def shares(self) -> Sequence[Share]:
        return ()

    def verdict(self, part: Part, situation: Situation) -> Verdict:
        return cheaper(part, self.to, situation)

    def branches(self, part: Part, situation: Situation) -> Sequence[Branch]:
        return (Branch(price=situation.price(self.to)),)


def build(to: str, as_good: float | None = None) -> Saving:
    """`as_good`: share of a test set that the model `to` answers at least as well (None: not measured)."""
    return SmallerModel(to, None if as_good is None else decimal("smaller_model: as_good", as_good))
