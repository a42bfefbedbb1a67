"""WordPiece: the longest piece that fits, from left to right; pieces inside a word are written `##ing`.

Schuster and Nakajima, "Japanese and Korean Voice Search", 2012; Devlin et al., "BERT", 2019. `max_match.py` gives the same in
linear time for long words.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from isinglass.text.algorithms.base import Algorithm, Placed
from isinglass.text.algorithms.max_match import MaxMatch

# The trie of BERT's vocabulary takes 0.2 s to make. Ordinary words never repay it: by slices one takes 10 µs, and is then remembered.
LONG = 64


class WordPiece(Algorithm[str]):
    """A word that cannot be spelled to its end, or is longer than `longest_word` characters, becomes one unknown token."""

    def __init__(self, vocab: Mapping[str, int], *, unknown: str = "[UNK]", continuation: str = "##", longest_word: int = 100) -> None:
        self.vocab = vocab
        self.unknown = unknown
        self.continuation = continuation
        self.longest_word = longest_word
        # What starts a word and what continues one, without the mark: a lookup then is one slice and one get.
        inner = len(continuation)
        self._starts = vocab
        self._continues = {piece[inner:]: id for piece, id in vocab.items() if piece.startswith(continuation) and len(piece) > inner}
        self.longest_piece = max(map(len, vocab), default=0)

    @property
    def unknown_ids(self) -> frozenset[int]:
        return frozenset({self.vocab[self.unknown]})

    def encode(self, word: str) -> tuple[int, ...]:
        return tuple(id for id, _, _ in self.place(word))

    def place(self, word: str) -> list[Placed]:
        placed = self._spelled(word) if len(word) <= self.longest_word else None
        return [(self.vocab[self.unknown], 0, len(word))] if placed is None else placed

    def _spelled(self, word: str) -> list[Placed] | None:
        """The pieces; None where matching stops before the end."""
        whole = self.vocab.get(word)
        if whole is not None:
            return [(whole, 0, len(word))]
        if len(word) > LONG:
            return self._max_match.match(word)
        placed = self.greedy(word)
        return placed if (placed[-1][2] if placed else 0) == len(word) else None

    def greedy(self, word: str) -> list[Placed]:
        """The definition: the longest piece that fits, again and again, until the end or until none fits."""
        placed: list[Placed] = []
        start, table = 0, self._starts
        while start < len(word):
            for end in range(min(len(word), start + self.longest_piece), start, -1):
                id = table.get(word[start:end])
                if id is not None:
                    placed.append((id, start, end))
                    start, table = end, self._continues
                    break
            else:
                break
        return placed

    @cached_property
    def _max_match(self) -> MaxMatch:
        return MaxMatch(self._starts, self._continues)
