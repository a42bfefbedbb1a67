"""Documents cut into passages: whole sentences, as many as fit, and the last one again at the beginning of the next passage."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from isinglass.core.errors import ConfigError
from isinglass.retrieval.documents import SourceText
from isinglass.text.sentences import sentences


@dataclass(frozen=True)
class Chunk:
    """A passage: `text` is `document.text[start:end]`; `number` its place among all passages of the collection."""

    number: int
    source: str
    start: int
    end: int
    text: str


def chunks(documents: Sequence[SourceText], count: Callable[[str], int], *, size: int = 120, overlap: int = 1) -> Iterator[Chunk]:
    """Passages of at most `size` tokens, as `count` counts them; `overlap` sentences stand in both of two neighbours.

    A sentence that is longer than `size` is cut between words. Raises ConfigError for a size or overlap that cannot be.
    """
    if size < 8 or overlap < 0:
        raise ConfigError(f"size = {size!r}, overlap = {overlap!r}: expected at least 8, and at least 0")
    number = 0
    for document in documents:
        pieces = [part for span in sentences(document.text) for part in _fitting(document.text, span, count, size)]
        for start, end in _joined(document.text, pieces, count, size, overlap):
            yield Chunk(number, document.name, start, end, document.text[start:end])
            number += 1


def _joined(text: str, pieces: list[tuple[int, int]], count: Callable[[str], int], size: int, overlap: int) -> Iterator[tuple[int, int]]:
    first = 0
    while first < len(pieces):
        last = first
        while last + 1 < len(pieces) and count(text[pieces[first][0] : pieces[last + 1][1]]) <= size:
            last += 1
        yield pieces[first][0], pieces[last][1]
        if last + 1 >= len(pieces):
            return
        first = max(first + 1, last + 1 - overlap)


def _fitting(text: str, span: tuple[int, int], count: Callable[[str], int], size: int) -> list[tuple[int, int]]:
    """A sentence in pieces of at most `size` tokens, cut between words (inside of a word that is too long by itself)."""
    start, end = span
    if count(text[start:end]) <= size:
        return [span]
    words = [(start + match.start(), start + match.end()) for match in re.finditer(r"\S+", text[start:end])]
    if len(words) == 1:
        middle = (start + end) // 2
        return [*_fitting(text, (start, middle), count, size), *_fitting(text, (middle, end), count, size)]
    middle = words[len(words) // 2][0]
    left_end = words[len(words) // 2 - 1][1]
    return [*_fitting(text, (start, left_end), count, size), *_fitting(text, (middle, end), count, size)]
