"""`Saving`: one way to pay less. It says where it applies, what it does to the requests, what it risks and how it is done.

Each stands in `savings/`; an expression such as `routing(share=0.7, to="gpt-4o-mini")` names one. What a saving does is said once, as
`Branch`es: plans compute with them, and the workbook writes them as formulas.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import IntEnum

from isinglass.core.errors import VariantError, unknown
from isinglass.economics.price import Price
from isinglass.economics.traffic import Part
from isinglass.economics.workload import Situation


class Risk(IntEnum):
    """What the answers may lose. The order is that in which a plan takes what saves."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Verdict:
    """Whether a saving can be had for a part of the requests, and why or why not."""

    applies: bool
    why: str


@dataclass(frozen=True)
class Share:
    """A number between 0 and 1 which somebody measured or assumed; `rest` is what is left of 1."""

    name: str
    value: Decimal
    is_rest: bool = False

    @property
    def rest(self) -> Share:
        return replace(self, is_rest=not self.is_rest)

    @property
    def number(self) -> Decimal:
        return 1 - self.value if self.is_rest else self.value


@dataclass(frozen=True)
class Branch:
    """What becomes of a part: shares multiply, the others are set; None leaves things as they are."""

    requests: Share | None = None
    tokens_in: Share | None = None
    tokens_out: Share | None = None
    price: Price | None = None
    prompts: int | None = None
    answers: int | None = None
    cached_tokens: int | None = None
    batch: bool | None = None
    label: str | None = None

    def of(self, part: Part) -> Part:
        """The part after it."""
        shares = {name: share for name in ("requests", "tokens_in", "tokens_out") if (share := getattr(self, name)) is not None}
        told = {name: value for name in ("price", "prompts", "answers", "batch", "label") if (value := getattr(self, name)) is not None}
        changed = replace(part, **{name: getattr(part, name) * share.number for name, share in shares.items()}, **told)
        cached = changed.cached_tokens if self.cached_tokens is None else Decimal(self.cached_tokens)
        return replace(changed, cached_tokens=min(cached, changed.tokens_in))


class Saving(ABC):
    """Finished classes are frozen dataclasses; what they take is their fields."""

    @property
    @abstractmethod
    def risk(self) -> Risk:
        """What the answers may lose by it."""

    @property
    @abstractmethod
    def loss(self) -> str:
        """The risk in words."""

    @property
    @abstractmethod
    def steps(self) -> Sequence[str]:
        """How it is done, in order."""

    @property
    @abstractmethod
    def shares(self) -> Sequence[Share]:
        """The numbers it rests on, named as its fields."""

    @abstractmethod
    def verdict(self, part: Part, situation: Situation) -> Verdict:
        """Whether it can be had for a part."""

    @abstractmethod
    def branches(self, part: Part, situation: Situation) -> Sequence[Branch]:
        """What becomes of a part for which it can be had."""


def risk(name: str) -> Risk:
    """A risk by its name. Raises ConfigError for another word."""
    known = {str(one): one for one in Risk}
    if name not in known:
        raise unknown("risk", name, known)
    return known[name]


def decimal(where: str, value: float) -> Decimal:
    """A share as it was typed. Raises VariantError for one outside of 0..1."""
    if not 0 <= value <= 1:
        raise VariantError(f"{where} = {value!r}, expected 0 to 1")
    return Decimal(str(value))
