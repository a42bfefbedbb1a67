"""What a tokenization algorithm is: a vocabulary, and a way to cut one pretoken into its pieces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

#: What pieces are made of.
S = TypeVar("S", bytes, str)

#: A token and the characters of the pretoken it covers: (id, start, end).
Placed = tuple[int, int, int]


class Algorithm(ABC, Generic[S]):
    """Cuts one pretoken. `vocab` maps each piece (bytes where the algorithm works on bytes) to its id."""

    vocab: Mapping[S, int]

    @abstractmethod
    def encode(self, word: str) -> tuple[int, ...]:
        """The ids of one pretoken."""

    @abstractmethod
    def place(self, word: str) -> list[Placed]:
        """The same ids with the characters each covers. Tokens that share a character all report the whole of it."""

    @property
    def unknown_ids(self) -> frozenset[int]:
        """The ids that stand for text the vocabulary cannot spell; none where every text can be spelled, or is lost silently."""
        return frozenset()

    def depend(self, words: Sequence[str]) -> bool:
        """Does what is before a pretoken of this text change how it is cut? Then only `place_all` gives the right ids."""
        return False

    def place_all(self, words: Sequence[str]) -> list[list[Placed]]:
        """`place` for all pretokens of a text, in order."""
        return [self.place(word) for word in words]
