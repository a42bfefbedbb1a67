"""One word, many tokens: "The", "the" and " the" have ids of their own, so a model must learn that they are one word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isinglass.show.table import Table
from isinglass.text.audit.report import Audit, distinct, shown
from isinglass.text.tokenizer import Token, Tokenizer

WORDS = ("the", "stove", "unhappiness")
CONTEXTS = {
    "alone": "{}", "after a space": "by {}", "after a line break": "by\n{}", "in brackets": "by ({})", "in quotes": 'by "{}"',
    "before a comma": "by {}, by", "after a hyphen": "by-{}",
}  # fmt: skip


def audit(tokenizers: Sequence[Tokenizer], *, words: Sequence[str] = WORDS) -> Audit:
    """Each word in lower case, with a capital and in capitals, alone and behind a space, and in other surroundings."""
    rows = [
        {"word": word, "form": name, **{one.name: _cell(one, context.format(form), form) for one in distinct(tokenizers)}}
        for word in words
        for name, context, form in _forms(word)
    ]
    counted = [
        {"tokenizer": one.name, "word": word, "forms": len(cuts := _cuts(one, word)), "different_ids": len(set(cuts))}
        for one in tokenizers
        for word in words
    ]
    same = [one.name for one in tokenizers if all(row["different_ids"] == 1 for row in counted if row["tokenizer"] == one.name)]
    most = max(counted, key=lambda row: row["different_ids"])
    finding = f"{most['tokenizer']} has {most['different_ids']} ways to write {most['word']!r} in {most['forms']} forms"
    finding += f"; {', '.join(same)} always the same one." if same else "."
    tables = (Table(rows, title="A word by case and context"), Table(counted, title="How many ways to write a word"))
    return Audit('Is "The" the same token as "the"?', finding, tables)


def _forms(word: str) -> list[tuple[str, str, str]]:
    """(what it is called, the text around, the word as it stands there)"""
    cased = [("lower case", word), ("capital", word.capitalize()), ("capitals", word.upper())]
    forms = [(f"{name}, {place}", CONTEXTS[place], form) for place in ("alone", "after a space") for name, form in cased]
    return forms + [(place, context, word) for place, context in list(CONTEXTS.items())[2:]]


def _inside(tokenizer: Tokenizer, text: str, form: str) -> list[Token]:
    """The tokens that hold some of the word."""
    start = text.index(form)
    return [token for token in tokenizer.tokens(text) if token.start < start + len(form) and token.end > start]


def _cell(tokenizer: Tokenizer, text: str, form: str) -> str:
    tokens = _inside(tokenizer, text, form)
    return f"{shown(tokenizer, tokens)} ({' '.join(str(token.id) for token in tokens)})"


def _cuts(tokenizer: Tokenizer, word: str) -> list[tuple[Any, ...]]:
    return [tuple(token.id for token in _inside(tokenizer, context.format(form), form)) for _, context, form in _forms(word)]
