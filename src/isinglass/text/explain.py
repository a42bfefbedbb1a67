"""`explain(tokenizer, text)`: why a text is cut as it is, pretoken by pretoken, as tables and as a story."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from isinglass.core.errors import ConfigError
from isinglass.show import format
from isinglass.show.table import Table
from isinglass.text.algorithms.base import Placed
from isinglass.text.reasons import Kind, Reason, reason
from isinglass.text.tokenizer import Pretoken, Special, Tokenizer

_STEP_TITLES: dict[Kind, str] = {
    "merges": "Every merge, in the order in which they happen",
    "matches": "Every match, from left to right",
    "lattice": "The lattice: every piece that fits, and the best sum of scores with it",
}
_UNITS = {"probability": "ratio"}


@dataclass(frozen=True)
class Part:
    """One pretoken, the ids it became, and why."""

    pretoken: Pretoken
    ids: tuple[int, ...]
    reason: Reason


@dataclass(frozen=True)
class Explanation:
    """The parts of a text in order. Equal pretokens have the same reason; the tables tell it once."""

    tokenizer: Tokenizer
    text: str
    parts: tuple[Part, ...]

    @property
    def overview(self) -> Table:
        """One row for each part: the characters, what became of them, and why."""
        rows = [
            {
                "text": self.text[part.pretoken.start : part.pretoken.end],
                "pretoken": format.token(part.pretoken.text),
                "tokens": len(part.ids),
                "pieces": "│".join(map(self._shown, part.ids)),
                "why": part.reason.why,
            }
            for part in self.parts
        ]
        return Table(
            rows,
            title=f"Why {self.tokenizer.name} cuts the text as it does",
            columns=["pretoken", "tokens", "pieces", "why"] if rows else None,
        )

    def steps(self) -> list[Table]:
        """The steps, a table for each kind there is; for lattices the best cuts as well."""
        tables = [Table(rows, title=title) for kind, title in _STEP_TITLES.items() if (rows := self._rows(kind))]
        cuts = [
            {"pretoken": format.token(part.pretoken.text), "place": place, **cut}
            for part in self._distinct("lattice")
            for place, cut in enumerate(part.reason.cuts, 1)
        ]
        return [*tables, Table(cuts, title="The best cuts, and their share among all", units=_UNITS)] if cuts else tables

    def to_dict(self) -> dict[str, Any]:
        """All of it for machines."""
        return {
            "tokenizer": self.tokenizer.name,
            "text": self.text,
            "parts": [
                {
                    "pretoken": part.pretoken.text,
                    "start": part.pretoken.start,
                    "end": part.pretoken.end,
                    "ids": list(part.ids),
                    "pieces": [self.tokenizer.piece(id) for id in part.ids],
                    "kind": part.reason.kind,
                    "why": part.reason.why,
                    "steps": list(part.reason.steps),
                    "best_cuts": list(part.reason.cuts),
                }
                for part in self.parts
            ],
        }

    def _distinct(self, kind: Kind) -> Iterator[Part]:
        first = {part.pretoken.text: part for part in reversed(self.parts)}
        return (part for part in self.parts if part.reason.kind == kind and first[part.pretoken.text] is part)

    def _rows(self, kind: Kind) -> list[dict[str, Any]]:
        return [
            {"pretoken": format.token(part.pretoken.text), "step": number, **step}
            for part in self._distinct(kind)
            for number, step in enumerate(part.reason.steps, 1)
        ]

    def _shown(self, id: int) -> str:
        by_bytes = isinstance(next(iter(self.tokenizer.algorithm.vocab), ""), bytes)
        return format.token(self.tokenizer.token_bytes(id) if by_bytes else self.tokenizer.piece(id))


def explain(tokenizer: Tokenizer, text: str, *, special: Special = "text", best: int = 5) -> Explanation:
    """Why the text is cut as it is. `best` is how many cuts of a Unigram lattice are listed. Raises ConfigError when it is below 1.

    >>> from isinglass.text.load import tokenizer
    >>> found = explain(tokenizer("gpt2"), "tokenization")
    >>> print(found.parts[0].reason.steps[-1]["pieces"], found.parts[0].ids)
    token│ization (30001, 1634)
    """
    if best < 1:
        raise ConfigError(f"best = {best!r}: expected at least 1 cut")
    parts: list[Part] = []
    for added, group in groupby(tokenizer.pretokens(text, special=special), key=lambda one: one.added):
        pretokens = list(group)
        if added:
            why = Reason("added", "an added token, found before anything else" + (": control, not text" if added.special else ""))
            parts += [Part(one, (added.id,), why) for one in pretokens]
        else:
            parts += _parts(tokenizer, pretokens, best)
    return Explanation(tokenizer, text, tuple(parts))


def _parts(tokenizer: Tokenizer, pretokens: list[Pretoken], best: int) -> Iterator[Part]:
    """The parts between two added tokens, which the algorithm cuts together: a cut may depend on those before."""
    known: dict[tuple[str, tuple[Placed, ...]], Reason] = {}
    all_placed = tokenizer.algorithm.place_all([one.text for one in pretokens])
    for pretoken, placed in zip(pretokens, all_placed, strict=True):
        key = (pretoken.text, tuple(placed))
        if key not in known:
            known[key] = reason(tokenizer.algorithm, pretoken.text, placed, best)
        yield Part(pretoken, tuple(id for id, _, _ in placed), known[key])
