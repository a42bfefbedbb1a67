"""LinMaxMatch: the longest piece that fits, from left to right, in one pass over the word.

Greedy matching reads characters again: after `abc` it has looked ahead to see that no longer piece fits. Here a trie remembers. When the
next character does not continue any piece, the failure pops of the node are the pieces that greedy matching takes from what was read,
and its failure link is the node of what then remains. Each character is read once, each pop gives a piece: O(n) in all.
Song, Salcianu, Song, Dopson and Zhou, "Fast WordPiece Tokenization", EMNLP 2021, algorithm 1 and 2.
"""

from __future__ import annotations

from collections.abc import Mapping

from isinglass.text.algorithms.base import Placed

Match = tuple[int, int]  # (id, length in characters)
_START, _INNER = 0, 1  # the roots: of pieces that begin a word, and of those that continue one
_NOWHERE = -1


class MaxMatch:
    """`starts` are the pieces that may begin a word, `continues` those that may follow, without their mark; both map to ids.

    >>> MaxMatch({"a": 0, "ab": 1}, {"c": 2, "cd": 3}).match("abcdc")
    [(1, 0, 2), (3, 2, 4), (2, 4, 5)]
    """

    def __init__(self, starts: Mapping[str, int], continues: Mapping[str, int]) -> None:
        self._children: list[dict[str, int]] = [{}, {}]
        self._match: list[Match | None] = [None, None]
        for root, pieces in ((_START, starts), (_INNER, continues)):
            for piece, id in pieces.items():
                self._insert(root, piece, id)
        self._link = [_NOWHERE] * len(self._children)
        self._pops: list[tuple[Match, ...]] = [()] * len(self._children)
        self._link_all()

    def match(self, word: str) -> list[Placed] | None:
        """The pieces with their places; None when greedy matching gets stuck."""
        matches: list[Match] = []
        node = _START
        for character in word:
            while (below := self._children[node].get(character)) is None:
                matches += self._pops[node]
                node = self._link[node]
                if node == _NOWHERE:
                    return None
            node = below
        while word and node != _INNER:
            matches += self._pops[node]
            node = self._link[node]
            if node == _NOWHERE:
                return None
        placed: list[Placed] = []
        end = 0
        for id, length in matches:
            start, end = end, end + length
            placed.append((id, start, end))
        return placed

    def _insert(self, node: int, piece: str, id: int) -> None:
        for character in piece:
            below = self._children[node].get(character)
            if below is None:
                below = self._children[node][character] = len(self._children)
                self._children.append({})
                self._match.append(None)
            node = below
        if piece:
            self._match[node] = (id, len(piece))

    def _link_all(self) -> None:
        """Links and pops, shallow nodes first, because they follow from those of shallower nodes."""
        level = [(root, character, node) for root in (_START, _INNER) for character, node in self._children[root].items()]
        while level:
            for parent, character, node in level:
                self._link_one(parent, character, node)
            level = [(node, character, below) for _, _, node in level for character, below in self._children[node].items()]

    def _link_one(self, parent: int, character: str, node: int) -> None:
        match = self._match[node]
        if match is not None:
            self._link[node], self._pops[node] = _INNER, (match,)
            return
        pops, rest = self._pops[parent], self._link[parent]
        while rest != _NOWHERE and character not in self._children[rest]:
            pops, rest = pops + self._pops[rest], self._link[rest]
        if rest != _NOWHERE:
            self._link[node], self._pops[node] = self._children[rest][character], pops
