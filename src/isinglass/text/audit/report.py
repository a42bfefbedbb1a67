"""`Audit`: what each audit gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from isinglass.core.errors import ConfigError
from isinglass.show import format
from isinglass.show.figure import Figure
from isinglass.show.table import Table
from isinglass.text.tokenizer import Token, Tokenizer


@dataclass(frozen=True)
class Audit:
    """A question, what was found in a sentence, and the evidence: tables first, then figures."""

    question: str
    finding: str
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For machines; the tables by title."""
        return {"question": self.question, "finding": self.finding, "tables": {table.title: table.rows for table in self.tables}}


def shown(tokenizer: Tokenizer, tokens: Iterable[Token]) -> str:
    """Tokens in one cell: `20│24`, with visible spaces, and bytes where a token is no character."""
    by_bytes = isinstance(next(iter(tokenizer.algorithm.vocab), ""), bytes)
    return "│".join(format.token(tokenizer.token_bytes(one.id) if by_bytes else one.piece) for one in tokens)


def distinct(tokenizers: Sequence[Tokenizer]) -> Sequence[Tokenizer]:
    """The tokenizers, which become columns. Raises ConfigError when there is none, or two share a name."""
    names = [one.name for one in tokenizers]
    if not names:
        raise ConfigError("an audit needs at least one tokenizer", hint="--with gpt2")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"the tokenizer {twice[0]!r} is given twice", hint="give each name once")
    return tokenizers
