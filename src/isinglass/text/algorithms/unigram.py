"""Unigram: every piece has a log-probability, and a text is cut so that their sum is greatest (Viterbi over a trie).

Kudo, "Subword Regularization", 2018. As in SentencePiece's optimised encoder a character that is no piece costs the lowest score
minus 10, unknown neighbours fuse, and of equally good cuts the one with the longer last piece wins. Sums are float64 and begin anew
with each pretoken, as in Hugging Face `tokenizers`; `unigram_float32.py` has SentencePiece's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from isinglass.text.algorithms.base import Algorithm, Placed
from isinglass.text.algorithms.bpe import Unknown

UNKNOWN_PENALTY = 10.0


class Unigram(Algorithm[str]):
    """`scores[id]` is the log-probability of a piece; `apart` are pieces that may not come out of text (control tokens, bytes)."""

    def __init__(self, vocab: Mapping[str, int], scores: list[float], unknown: Unknown, *, apart: Iterable[str] = ()) -> None:
        self.vocab = vocab
        self.scores = scores
        self.unknown = unknown
        self.apart = frozenset(apart)

    @cached_property
    def _unknown_score(self) -> float:
        textual = (self.scores[id] for piece, id in self.vocab.items() if piece not in self.apart)
        return min(textual, default=0.0) - UNKNOWN_PENALTY

    @cached_property
    def _trie(self) -> dict[str, Any]:
        """Nested dicts by character; the key "" holds (id, score) of the piece that ends there."""
        root: dict[str, Any] = {}
        scores, apart = self.scores, self.apart
        for piece, id in self.vocab.items():
            if piece in apart:
                continue
            node: dict[str, Any] = root
            for character in piece:
                below = node.get(character)
                if below is None:
                    below = node[character] = {}
                node = below
            node[""] = (id, scores[id])
        return root

    @property
    def unknown_ids(self) -> frozenset[int]:
        return self.unknown.lost

    def encode(self, word: str) -> tuple[int, ...]:
        return tuple(id for id, _, _ in self.place(word))

    def place(self, word: str) -> list[Placed]:
        return self.fused(word, self._best(word))

    def pieces_at(self, word: str, start: int) -> Iterator[tuple[int, int, float]]:
        """`(id, end, score)` of every piece that starts there, shortest first; a character that is no piece comes last, as unknown."""
        node, alone = self._trie, False
        for end in range(start + 1, len(word) + 1):
            node = node.get(word[end - 1])
            if node is None:
                break
            piece = node.get("")
            if piece is not None:
                yield piece[0], end, piece[1]
                alone = alone or end == start + 1
        if not alone and start < len(word):
            yield -1, start + 1, self._unknown_score

    def fused(self, word: str, cut: list[Placed]) -> list[Placed]:
        """The cut with each run of unknown characters (id -1) as the tokens it becomes."""
        placed: list[Placed] = []
        at = 0
        while at < len(cut):
            id, start, end = cut[at]
            at += 1
            if id >= 0:
                placed.append((id, start, end))
                continue
            while at < len(cut) and cut[at][0] < 0:
                end = cut[at][2]
                at += 1
            placed += [(each, start + a, start + b) for each, a, b in self.unknown.place(word[start:end])]
        return placed

    def _best(self, word: str) -> list[Placed]:
        """The best cut; unknown characters have id -1."""
        length = len(word)
        best = [0.0] * (length + 1)
        ids = [-1] * (length + 1)
        starts = [-1] * (length + 1)
        root, unknown_score = self._trie, self._unknown_score
        for start in range(length):
            so_far, node = best[start], root
            alone = False
            for end in range(start + 1, length + 1):
                node = node.get(word[end - 1])
                if node is None:
                    break
                piece = node.get("")
                if piece is None:
                    continue
                score = so_far + piece[1]
                if starts[end] < 0 or score > best[end]:
                    best[end], ids[end], starts[end] = score, piece[0], start
                alone = alone or end == start + 1
            if not alone:
                score = so_far + unknown_score
                if starts[start + 1] < 0 or score > best[start + 1]:
                    best[start + 1], ids[start + 1], starts[start + 1] = score, -1, start
        cut: list[Placed] = []
        end = length
        while end:
            cut.append((ids[end], starts[end], end))
            end = starts[end]
        return cut[::-1]
