"""Every word is a token, and every word that is not in the vocabulary is the same unknown one."""

from __future__ import annotations

from collections.abc import Mapping

from isinglass.core.errors import TokenizerError
from isinglass.text.algorithms.base import Algorithm, Placed


class Word(Algorithm[str]):
    """`unknown` is the piece that stands for all other words; a vocabulary that lacks it raises `TokenizerError` for them."""

    def __init__(self, vocab: Mapping[str, int], *, unknown: str = "<unk>") -> None:
        self.vocab = vocab
        self.unknown = unknown

    @property
    def unknown_ids(self) -> frozenset[int]:
        return frozenset({self.vocab[self.unknown]}) if self.unknown in self.vocab else frozenset()

    def encode(self, word: str) -> tuple[int, ...]:
        id = self.vocab.get(word, self.vocab.get(self.unknown))
        if id is None:
            raise TokenizerError(f"word {word!r} is not in the vocabulary, and neither is the unknown token {self.unknown!r}")
        return (id,)

    def place(self, word: str) -> list[Placed]:
        return [(self.encode(word)[0], 0, len(word))]
