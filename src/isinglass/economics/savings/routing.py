"""Routing: simple questions go to a cheaper model, the others to the one that was asked before.

What: a small classifier reads the question and chooses the model.
Why: most questions to a support desk are simple, and a small model answers them as well.
Math: share of the requests at the prices of `to`, the rest as before
Cost: the classifier's mistakes: a hard question sent to the small model. Its own computing time is a few milliseconds here
Used by: gateways in front of several models
Paper: Chen et al. 2023, FrugalGPT; Ong et al. 2024, RouteLLM
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from isinglass.economics.saving import Branch, Risk, Saving, Share, Verdict, decimal
from isinglass.economics.traffic import Part
from isinglass.economics.workload import Situation

EXAMPLE = dict(share=0.7, to="gpt-4o-mini")
FEW, MANY = Decimal("0.05"), Decimal("0.15")  # of the routed questions that were hard


@dataclass(frozen=True)
class Routing(Saving):
    share: Decimal
    to: str
    wrong: Decimal | None

    @property
    def risk(self) -> Risk:
        if self.wrong is None:
            return Risk.MEDIUM
        return Risk.LOW if self.wrong <= FEW else Risk.MEDIUM if self.wrong <= MANY else Risk.HIGH

    @property
    def loss(self) -> str:
        if self.wrong is None:
            return "nobody has measured how many hard questions reach the small model"
        return f"{self.wrong:.1%} of what is routed is hard and gets the small model's answer"

    @property
    def steps(self) -> Sequence[str]:
        return (
            "Label some hundred of your own questions as simple or hard, and train the classifier on them.",
            f"Send the simple ones to {self.to}; send a question again to the large model when the user asks back.",
            "Sample routed answers every week and have them rated.",
        )

    @property
    def shares(self) -> Sequence[Share]:
        return (Share("share", self.share),)

    def verdict(self, part: Part, situation: Situation) -> Verdict:
        return cheaper(part, self.to, situation)

    def branches(self, part: Part, situation: Situation) -> Sequence[Branch]:
        share = Share("share", self.share)
        return (Branch(requests=share, price=situation.price(self.to), label="simple"), Branch(requests=share.rest, label="hard"))


def cheaper(part: Part, to: str, situation: Situation) -> Verdict:
    """Whether a model answers these requests for less."""
    other = Branch(price=situation.price(to)).of(part)
    if other.usd >= part.usd:
        return Verdict(False, f"{to} is not cheaper than {part.price.model} for these requests")
    return Verdict(True, f"{to} answers them for {other.usd / part.usd:.1%} of what {part.price.model} takes")


def build(share: float, to: str, wrong: float | None = None) -> Saving:
    """`share` of the requests go to the model `to`; `wrong`: share of those that were hard (None: not measured)."""
    return Routing(decimal("routing: share", share), to, None if wrong is None else decimal("routing: wrong", wrong))
