"""Every byte of UTF-8 is a token: nothing is unknown, and nothing has to be learned."""

from __future__ import annotations

from collections.abc import Mapping

from isinglass.text.algorithms.base import Algorithm, Placed


class Byte(Algorithm[bytes]):
    """`vocab` holds the 256 bytes."""

    def __init__(self, vocab: Mapping[bytes, int]) -> None:
        self.vocab = vocab
        self._ids = [vocab[bytes([byte])] for byte in range(256)]

    def encode(self, word: str) -> tuple[int, ...]:
        return tuple(map(self._ids.__getitem__, word.encode("utf-8")))

    def place(self, word: str) -> list[Placed]:
        ids = self._ids
        return [(ids[byte], at, at + 1) for at, character in enumerate(word) for byte in character.encode("utf-8")]
