"""Byte pair encoding in linear time: the longest piece that fits, from left to right, with steps back where merging would differ.

Two facts carry it. A merge inside a piece happens in a longer text exactly as in the piece alone, as long as no merge crosses its
border. So a list of pieces is the encoding of its text if and only if each piece, merged alone, gives itself, and each two neighbours,
merged alone, give these two. And the encoding of a text's beginning is one list only: a place that led nowhere need not be tried again,
so every place is visited once. Whatever the order of merges, both hold; nothing is assumed of the vocabulary.

The idea is that of the `bpe` crate of github/rust-gems (van Antwerpen and Neubeck, "So many tokens, so little time", 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple

from isinglass.text.algorithms.base import S
from isinglass.text.algorithms.merging import NEVER, merge, merge_steps

_MOST_PAIRS = 1 << 16


class Made(NamedTuple, Generic[S]):
    """How a piece comes about: the rank of its last merge (-1 for a single symbol) and the two parts that it joined.

    `regular`: each merge in it ranks after those that made its parts. Then merges happen in the order of their ranks, and whether one
    crosses a border can be told by undoing them; all merges of GPT-2, cl100k, o200k and SmolLM2 are so.
    """

    rank: int
    left: S
    right: S
    regular: bool


class LinearBpe(Generic[S]):
    """`cut(text)` equals `merge(symbols of text)`. `pieces` are all that merges can make; `rank` is as for `merge`.

    >>> ranks = {"ab": 0, "bc": 1, "abc": 2}
    >>> LinearBpe(ranks, lambda left, right: ranks.get(left + right, NEVER)).cut("abcbc")
    ['abc', 'bc']
    """

    def __init__(self, pieces: Iterable[S], rank: Callable[[S, S], int]) -> None:
        self._rank = rank
        self._made: dict[S, Made[S] | None] = {}
        self._pairs: dict[tuple[S, S], bool] = {}
        self._longest = _longest_pieces(frozenset(pieces))

    def cut(self, text: S) -> list[S]:
        """The pieces of a text."""
        is_open = bytearray(b"\1") * (len(text) + 1)  # a place from which the end has not been found out of reach
        pieces: list[S] = []
        at = 0
        piece = self._longest_at(text, 0)
        while at < len(text):
            end = at + len(piece)
            if is_open[end] and self.made(piece) is not None and (not pieces or self._stay(pieces[-1], piece)):
                pieces.append(piece)
                at = end
                piece = self._longest_at(text, at)
            elif len(piece) > 1:
                piece = self._longest.get(piece[:-1], piece[:1])
            else:
                is_open[at] = 0
                piece = pieces.pop()
                at -= len(piece)
        return pieces

    def made(self, piece: S) -> Made[S] | None:
        """How merging makes a piece; None when merging its symbols ends elsewhere, so that no text ever gives it."""
        if piece not in self._made:
            self._made[piece] = self._make(piece)
        return self._made[piece]

    def _make(self, piece: S) -> Made[S] | None:
        if len(piece) == 1:
            return Made(-1, piece, piece, regular=True)
        steps = list(merge_steps(_symbols(piece), self._rank))
        if len(steps) < len(piece) - 1:
            return None
        rank, _, left, right = steps[-1]
        parts = [made for part in (left, right) if (made := self.made(part))]
        return Made(rank, left, right, all(part.regular and part.rank < rank for part in parts))

    def _longest_at(self, text: S, at: int) -> S:
        longest, end = self._longest, at + 1
        found = start = text[at:end]
        while (piece := longest.get(start)) is not None:
            found = piece
            end += 1
            if end > len(text):
                break
            start = text[at:end]
        return found

    def _stay(self, left: S, right: S) -> bool:
        """Do these two neighbours stay as they are when their text is merged?"""
        pair = (left, right)
        known = self._pairs.get(pair)
        if known is None:
            if len(self._pairs) >= _MOST_PAIRS:
                self._pairs.clear()
            known = self._pairs[pair] = self._merges_stay(left, right)
        return known

    def _merges_stay(self, left: S, right: S) -> bool:
        made_left, made_right = self.made(left), self.made(right)
        if made_left is None or made_right is None or not (made_left.regular and made_right.regular):
            return merge(_symbols(left + right), self._rank) == [left, right]
        limit = NEVER
        while True:  # back in time, undoing the latest merge beside the border; of equal ranks the left one came first
            if self._rank(left, right) < limit:
                return False
            if made_left.rank > made_right.rank:
                limit, left = made_left.rank, made_left.right
                made_left = self._made[left] or made_left
            elif made_right.rank >= 0:
                limit, right = made_right.rank + 1, made_right.left
                made_right = self._made[right] or made_right
            else:
                return True


def _symbols(text: S) -> list[S]:
    return [text[at : at + 1] for at in range(len(text))]


def _longest_pieces(pieces: frozenset[S]) -> dict[S, S]:
    """Every beginning of a piece, with the longest piece that is a beginning of it."""
    longest: dict[S, S] = {}
    for piece in pieces:
        found = piece[:1]
        for end in range(1, len(piece) + 1):
            start = piece[:end]
            if start in pieces:
                found = start
            longest[start] = found
    return longest
