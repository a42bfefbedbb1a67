"""Citations such as [2] in an answer: whether the passage exists, and how much of what is said stands in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from isinglass.retrieval.chunk import Chunk
from isinglass.text.sentences import sentences

_MARK = re.compile(r"\[(\d+)\]")
_WORD = re.compile(r"[^\W_]+")
SUPPORTED = 0.6  # of a statement's words: most, but not all, since a model may put a sentence in its own words


@dataclass(frozen=True)
class Citation:
    """`statement` names passage `number`; `support` is the share of its words that stand there (0 for a passage that does not exist)."""

    statement: str
    number: int
    exists: bool
    support: float

    @property
    def holds(self) -> bool:
        return self.exists and self.support >= SUPPORTED


def citations(answer: str, passages: Sequence[Chunk]) -> list[Citation]:
    """Every mark of an answer with the sentence that it stands in or behind."""
    found, statement = [], ""
    for start, end in sentences(answer):
        text = answer[start:end]
        # a mark behind the full stop belongs to the sentence before it
        statement = _MARK.sub("", text).strip(" .") or statement
        for mark in _MARK.finditer(text):
            number = int(mark[1])
            exists = 1 <= number <= len(passages)
            found.append(Citation(statement, number, exists, support(statement, passages[number - 1].text) if exists else 0.0))
    return found


def support(statement: str, passage: str) -> float:
    """Share of a statement's content words that stand in a passage, by their first five letters (so that "descaled" is "descaling").

    >>> support("The Gull holds 0.8 litres.", "It holds 0.8 litres. The Gull is small.")
    1.0
    """
    said = content_words(statement)
    return len(said & content_words(passage)) / len(said) if said else 0.0


def content_words(text: str) -> set[str]:
    """Words that carry something, cut to five letters."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return {word[:5] for word in _WORD.findall(text.lower()) if word not in ENGLISH_STOP_WORDS}
