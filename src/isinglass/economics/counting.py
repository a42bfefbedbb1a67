"""Tokens of a text as each model counts them, and what the text costs as input: the model's own vocabulary, or an estimate that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from isinglass.economics.price import Price
from isinglass.show.table import Table
from isinglass.text.load import tokenizer

STAND_IN = "o200k_base"  # for models whose vocabulary is not public


@dataclass(frozen=True)
class Count:
    """How many tokens a model bills for a text. `exact` is False where another model's vocabulary had to count."""

    price: Price
    tokens: int
    vocabulary: str
    exact: bool

    @property
    def usd(self) -> Decimal:
        """The text once as input."""
        return self.price.request_usd(self.tokens, 0)

    def row(self) -> dict[str, Any]:
        return {
            "model": self.price.model,
            "tokens": self.tokens,
            "counted_by": self.vocabulary if self.exact else f"{self.vocabulary} (estimate)",
            "exact": self.exact,
            "input_usd": self.usd,
            "thousand_usd": self.usd * 1000,
        }


def count(text: str, price: Price) -> Count:
    """Count with the model's own vocabulary; with another one where it is not public.

    Raises AssetError when the vocabulary is public but not on this machine: a wrong count would look like a right one.
    """
    vocabulary = price.tokenizer or STAND_IN
    return Count(price, tokenizer(vocabulary).count(text), vocabulary, price.tokenizer is not None)


def counts(text: str, models: Sequence[Price], *, command: str | None = None) -> Table:
    """A text through the models' vocabularies, and its price as input, once and a thousand times."""
    rows = [count(text, one).row() for one in models]
    notes = ["estimate: the model's vocabulary is not public, another one has counted"] if any(not row["exact"] for row in rows) else []
    shown = ["model", "tokens", "counted_by", "input_usd", "thousand_usd"]
    return Table(rows, title="What the text costs as input", columns=shown, notes=notes, command=command)
