"""Vocabulary against length: characters need few entries and many tokens, words the reverse, and subwords lie between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import regex

from isinglass.core.errors import DataError
from isinglass.show.marks.bars import bars
from isinglass.show.table import Table
from isinglass.text.audit.report import Audit, distinct
from isinglass.text.tokenizer import Tokenizer

_WORD = regex.compile(r"\w+|[^\w\s]")


def audit(tokenizers: Sequence[Tokenizer], text: str) -> Audit:
    """The text as bytes, as characters, as words (with punctuation apart), and as tokens. Raises DataError for a text without a word."""
    words = _WORD.findall(text)
    if not words:
        raise DataError("the text holds no word to count", hint="give a text with --file")
    rows = [
        _row("bytes", 256, list(text.encode("utf-8", "replace")), text),
        _row("characters", len(set(text)), list(text), text),
        *(_row(one.name, one.vocab_size, one.encode(text), text) for one in distinct(tokenizers)),
        _row("words", len(set(words)), words, text),
    ]
    characters, fewest = rows[1], min(rows[2:-1], key=lambda row: row["tokens"])
    finding = (
        f"{characters['vocabulary']:,} characters spell the text in {characters['tokens']:,} tokens; {fewest['unit']}, with "
        f"{fewest['vocabulary']:,} entries of which it uses {fewest['used']:,}, needs {fewest['tokens']:,}, "
        f"{characters['tokens'] / fewest['tokens']:.1f} times fewer."
    )
    figure = bars(
        [row["unit"] for row in rows], [row["tokens"] for row in rows], title="How long the text becomes", axis="tokens", unit="count"
    )
    table = Table(rows, title="Vocabulary against length", units={"share_used": "ratio"})
    return Audit("What does a larger vocabulary buy?", finding, (table,), (figure,))


def _row(unit: str, vocabulary: int, units: Sequence[Any], text: str) -> dict[str, Any]:
    used = len(set(units))
    return {
        "unit": unit,
        "vocabulary": vocabulary,
        "used": used,
        "share_used": used / vocabulary,
        "tokens": len(units),
        "characters_per_token": len(text) / len(units),
    }
