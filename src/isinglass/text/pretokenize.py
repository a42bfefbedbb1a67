"""Pretokenizers: cutting text into the pieces ("pretokens") that tokens never cross.

The kinds are those of `tokenizer.json`. Adding a space in front, or writing `▁` for a space, is rewriting: see `normalize.py`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import regex

from isinglass.core.errors import TokenizerError
from isinglass.text.patterns import CUT_AT_WORDS, ascii_form

Span = tuple[int, int]


class Pretokenizer(ABC):
    """Cuts a text. Places it leaves out (white space, for BERT) belong to no token."""

    @abstractmethod
    def split(self, text: str) -> list[str]:
        """The pretokens in order."""

    @abstractmethod
    def spans(self, text: str) -> list[Span]:
        """Where they stand: `split(text) == [text[a:b] for a, b in spans(text)]`."""


# An ASCII stretch from the start of one word (with its space) to the end of another; the shortest worth a switch is a few words.
_ASCII_WORDS = re.compile(r"(?<=[A-Za-z]) [A-Za-z][\0-\x7f]{30,}[A-Za-z](?= [A-Za-z])")


@dataclass(frozen=True)
class Matches(Pretokenizer):
    """The matches of a regular expression are the pretokens; what lies between them is dropped."""

    pattern: str

    @cached_property
    def _unicode(self) -> regex.Pattern[str] | re.Pattern[str]:
        return compiled(self.pattern)

    @cached_property
    def _findall(self) -> Callable[[str], list[str]]:
        find = self._unicode
        return find.findall if not find.groups else lambda text: [found.group() for found in find.finditer(text)]

    @cached_property
    def _ascii(self) -> Callable[[str], list[str]] | None:
        form = ascii_form(self.pattern)
        try:
            find = re.compile(form) if form is not None else None
        except re.error:  # what `regex` knows beyond `re`, or an error that `_unicode` reports
            return None
        return find.findall if find and not find.groups else None

    def split(self, text: str) -> list[str]:
        fast = self._ascii
        if fast is None:
            return self._findall(text)
        if text.isascii():
            return fast(text)
        return self._mixed(text, fast) if len(text) > 100 and self.pattern in CUT_AT_WORDS else self._findall(text)

    def _mixed(self, text: str, fast: Callable[[str], list[str]]) -> list[str]:
        """Mostly ASCII text with a few others (quotes, dashes): the long ASCII stretches go the fast way."""
        words: list[str] = []
        at = 0
        for found in _ASCII_WORDS.finditer(text):
            if found.start() > at:
                words += self._findall(text[at : found.start()])
            words += fast(found.group())
            at = found.end()
        return words + self._findall(text[at:])

    def spans(self, text: str) -> list[Span]:
        return [found.span() for found in self._unicode.finditer(text)]


Behavior = Literal["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


@dataclass(frozen=True)
class Split(Pretokenizer):
    """Cuts at the matches of a pattern; `behavior` says what becomes of a match.

    `Isolated`: a pretoken of its own. `Removed`: dropped. `MergedWithPrevious`, `MergedWithNext`: stays with its neighbour.
    `Contiguous`: neighbouring matches make one pretoken.
    """

    pattern: str
    behavior: Behavior = "Isolated"

    @cached_property
    def _matches(self) -> Matches:
        return Matches(self.pattern)

    def split(self, text: str) -> list[str]:
        if self.behavior == "Isolated":
            words = self._matches.split(text)
            if sum(map(len, words)) == len(text):
                return words
        return [text[start:end] for start, end in self.spans(text)]

    def spans(self, text: str) -> list[Span]:
        parts: list[tuple[int, int, bool]] = []  # (start, end, is a match), covering the text
        at = 0
        for start, end in self._matches.spans(text):
            parts += [(at, start, False)] if start > at else []
            parts += [(start, end, True)] if end > start else []
            at = end
        parts += [(at, len(text), False)] if at < len(text) else []
        return _behave(parts, self.behavior)


def _behave(parts: list[tuple[int, int, bool]], behavior: Behavior) -> list[Span]:
    if behavior == "Removed":
        return [(start, end) for start, end, matched in parts if not matched]
    if behavior == "Isolated":
        return [(start, end) for start, end, _ in parts]
    # What remains is a question of which of two neighbours stay together.
    together = {
        "MergedWithPrevious": lambda left, right: right and not left,
        "MergedWithNext": lambda left, right: left and not right,
        "Contiguous": lambda left, right: left and right,
    }[behavior]
    spans: list[Span] = [(start, end) for start, end, _ in parts[:1]]
    for (_, _, left), (start, end, right) in pairwise(parts):
        if together(left, right):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def digits(individually: bool) -> Split:
    """Numbers apart from words: every digit alone, or runs of them."""
    return Split(r"\p{N}" if individually else r"\p{N}+")


_PUNCTUATION = r"!-/:-@\[-`{-~\p{P}"


@dataclass(frozen=True)
class BertWords(Pretokenizer):
    """Words between white space, with every punctuation character alone (BERT's basic tokenizer)."""

    @cached_property
    def _ascii(self) -> re.Pattern[str]:
        return re.compile(r"[!-/:-@\[-`{-~]|[^ \t\n\r\f\v!-/:-@\[-`{-~]+")

    @cached_property
    def _unicode(self) -> regex.Pattern[str]:
        return regex.compile(rf"[{_PUNCTUATION}]|[^\p{{White_Space}}{_PUNCTUATION}]+")

    def split(self, text: str) -> list[str]:
        return (self._ascii if text.isascii() else self._unicode).findall(text)

    def spans(self, text: str) -> list[Span]:
        return [found.span() for found in self._unicode.finditer(text)]


def space_words(symbol: str = "▁") -> Split:
    """Cuts before each run of the space symbol, so a word keeps the spaces in front of it.

    Sound only where no piece of the vocabulary has the symbol behind another character (`crosses_words` tells).
    """
    return Split(f"{symbol}*[^{symbol}]+|{symbol}+")


@dataclass(frozen=True)
class MetaspaceWords(Pretokenizer):
    """Cuts before every single space symbol, as the `Metaspace` of Hugging Face tokenizers does."""

    symbol: str = "▁"

    @cached_property
    def _find(self) -> re.Pattern[str]:
        symbol = re.escape(self.symbol)
        return re.compile(f"{symbol}[^{symbol}]*|[^{symbol}]+")

    def split(self, text: str) -> list[str]:
        return self._find.findall(text)

    def spans(self, text: str) -> list[Span]:
        return [found.span() for found in self._find.finditer(text)]


def crosses_words(pieces: Iterable[str], symbol: str = "▁") -> bool:
    """Does a piece hold the space symbol behind another character? Then words cannot be tokenized apart."""
    behind = re.compile(f"[^{re.escape(symbol)}]{re.escape(symbol)}")
    return any(behind.search(piece) for piece in pieces)


def compiled(pattern: str) -> regex.Pattern[str] | re.Pattern[str]:
    """The pattern of a vocabulary file as `regex` reads it, or `re`, which is quicker, where the two cannot differ."""
    try:
        return regex.compile(pattern) if "\\" in pattern or "(" in pattern else re.compile(pattern)
    except (regex.error, re.error) as error:
        raise TokenizerError(f"pattern {pattern!r} of the vocabulary cannot be read: {error}") from error
