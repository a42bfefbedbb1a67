"""Every character is a token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from isinglass.text.algorithms.base import Algorithm, Placed


class Character(Algorithm[str]):
    """A character that is not in the vocabulary becomes the token `unknown` (an id). `apart` are pieces that never come out of text."""

    def __init__(self, vocab: Mapping[str, int], unknown: int, *, apart: Iterable[str] = ()) -> None:
        self.vocab = vocab
        self.unknown = unknown
        self.apart = frozenset(apart)

    @property
    def unknown_ids(self) -> frozenset[int]:
        return frozenset({self.unknown})

    @cached_property
    def _textual(self) -> dict[str, int]:
        return {piece: id for piece, id in self.vocab.items() if piece not in self.apart}

    def encode(self, word: str) -> tuple[int, ...]:
        get, unknown = self._textual.get, self.unknown
        return tuple([get(character, unknown) for character in word])

    def place(self, word: str) -> list[Placed]:
        return [(id, at, at + 1) for at, id in enumerate(self.encode(word))]
