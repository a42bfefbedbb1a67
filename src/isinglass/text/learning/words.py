"""Counting the words of a corpus: all that training needs to know of it, so texts may stream by and need not fit in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from isinglass.core.errors import DataError
from isinglass.text.normalize import Normalizer, repair_surrogates
from isinglass.text.tokenizer import Stage

# A count of progress each time about this many characters were read.
REPORT_CHARACTERS = 1 << 20


@dataclass
class Words:
    """Distinct words (pretokens) in the order they were first seen, each with how often it occurred; counts are unbounded integers."""

    counts: Counter[str] = field(default_factory=Counter)
    n_texts: int = 0
    n_characters: int = 0

    def characters(self) -> Counter[str]:
        """How often each character occurs."""
        characters: Counter[str] = Counter()
        for word, count in self.counts.items():
            for character in word:
                characters[character] += count
        return characters


def counting(words: Words, texts: Iterable[str], stages: Iterable[Stage]) -> Iterator[int]:
    """Count the words of each text into `words`; yields the characters read so far, now and then.

    `stages` are the normalisers and pretokenizers that the finished tokenizer will have. Raises `DataError` for what is no text.
    """
    steps = tuple(stages)
    reported = 0
    for text in _checked(texts):
        words.counts.update(_cut(_sound(text), steps))
        words.n_texts += 1
        words.n_characters += len(text)
        if words.n_characters - reported >= REPORT_CHARACTERS:
            reported = words.n_characters
            yield reported


def _checked(texts: Iterable[Any]) -> Iterator[str]:
    if isinstance(texts, str | bytes):
        raise DataError(
            f"texts is one {type(texts).__name__} of length {len(texts):,}: expected a list of texts, or any iterable of them",
            hint="train_tokenizer(algorithm, [text])",
        )
    for at, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"texts: item {at} is {type(text).__name__} {text!r:.60}: expected str")
        yield text


def _cut(text: str, stages: tuple[Stage, ...]) -> list[str]:
    words = [text]
    for stage in stages:
        if isinstance(stage, Normalizer):
            words = [stage.apply(word) for word in words]
        else:
            words = stage.split(words[0]) if len(words) == 1 else list(chain.from_iterable(map(stage.split, words)))
    return [word for word in words if word] if "" in words else words


def _sound(text: str) -> str:
    """The text without halves of surrogate pairs, which no vocabulary can hold."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return repair_surrogates(text).text
    return text
