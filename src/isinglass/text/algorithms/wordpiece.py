"""WordPiece: the longest piece that fits, from left to right; pieces inside a word are written `##ing`.

Schuster and Nakajima, "Japanese and Korean Voice Search", 2012; Devlin et al., "BERT", 2019. Words are capped at 100 characters,
so the time is linear in the text.
"""

from __future__ import annotations

from collections.abc import Mapping

from isinglass.text.algorithms.base import Algorithm, Placed


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
        self._longest = max(map(len, vocab), default=0)

    def encode(self, word: str) -> tuple[int, ...]:
        return tuple(id for id, _, _ in self.place(word))

    def place(self, word: str) -> list[Placed]:
        whole = self.vocab.get(word)
        if whole is not None and len(word) <= self.longest_word:
            return [(whole, 0, len(word))]
        placed: list[Placed] = []
        start, table = 0, self._starts
        while start < len(word) <= self.longest_word:
            for end in range(min(len(word), start + self._longest), start, -1):
                id = table.get(word[start:end])
                if id is not None:
                    placed.append((id, start, end))
                    start, table = end, self._continues
                    break
            else:
                break
        return placed if start == len(word) else [(self.vocab[self.unknown], 0, len(word))]
