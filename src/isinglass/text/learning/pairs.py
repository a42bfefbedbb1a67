"""The pairs of neighbours in the distinct words of a corpus: how often each occurs and where, kept up to date while pairs are joined.

Words are chains of symbols (ids) in one list; joining a pair touches only the places where it stands. So all merges together cost
time linear in the characters of the distinct words, whatever the size of the corpus they were counted in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

# Between words, and where a symbol was joined to the one before it.
_BORDER, _GONE = -1, -2
_BITS = 32


def pair(left: int, right: int) -> int:
    """A pair as one number, which hashes quickly; pairs compare by their left id, then by their right one."""
    return left << _BITS | right


def sides(pair: int) -> tuple[int, int]:
    """The two ids of a pair."""
    return pair >> _BITS, pair & ((1 << _BITS) - 1)


class Pairs:
    """`counts[pair]` and `symbol_counts[id]` are how often each occurs; what is gone may stay with a count of 0.

    >>> pairs = Pairs([([1, 2, 1, 2], 10), ([2, 1], 5)])
    >>> pairs.counts[pair(1, 2)], pairs.counts[pair(2, 1)]
    (20, 15)
    >>> sorted(map(sides, pairs.join(pair(1, 2), 3)))
    [(3, 3)]
    >>> pairs.counts[pair(3, 3)], pairs.counts[pair(2, 1)]
    (10, 5)
    """

    def __init__(self, words: Iterable[tuple[Sequence[int], int]]) -> None:
        symbols, weights = [_BORDER], [0]
        for word, count in words:
            symbols += word
            symbols.append(_BORDER)
            weights += [count] * (len(word) + 1)
        self._symbols = symbols
        self._weights = weights
        self._ahead = list(range(1, len(symbols) + 1))
        self._behind = list(range(-1, len(symbols) - 1))
        self._places: defaultdict[int, list[int]] = defaultdict(list)
        self._first: dict[int, tuple[int, int]] = {}  # the first place of a pair, and of how many
        self.counts: defaultdict[int, int] = defaultdict(int)
        self.symbol_counts: defaultdict[int, int] = defaultdict(int)
        for at, (left, right, weight) in enumerate(zip(symbols, [*symbols[1:], _BORDER], weights, strict=True)):
            if left < 0:
                continue
            self.symbol_counts[left] += weight
            if right >= 0:
                key = left << _BITS | right
                self._places[key].append(at)
                self.counts[key] += weight

    def join(self, pair: int, new: int) -> set[int]:
        """Replace the pair by the symbol `new` everywhere, from left to right; returns the pairs that came to occur more often."""
        left, right = sides(pair)
        symbols, weights, ahead, behind = self._symbols, self._weights, self._ahead, self._behind
        counts, places = self.counts, self._places
        grown: set[int] = set()
        from_right, from_new = right << _BITS, new << _BITS
        joined = 0
        # Only a pair of equal symbols can overlap itself (aaa), so only there does the order matter.
        standing = places.pop(pair)
        for at in sorted(standing) if left == right else standing:
            after = ahead[at]
            if symbols[at] != left or symbols[after] != right:
                continue
            weight, before, beyond = weights[at], behind[at], ahead[after]
            symbols[at], symbols[after] = new, _GONE
            ahead[at], behind[beyond] = beyond, at
            joined += weight
            neighbour = symbols[before]
            if neighbour >= 0:
                neighbour <<= _BITS
                counts[neighbour | left] -= weight
                key = neighbour | new
                counts[key] += weight
                places[key].append(before)
                grown.add(key)
            neighbour = symbols[beyond]
            if neighbour >= 0:
                counts[from_right | neighbour] -= weight
                key = from_new | neighbour
                counts[key] += weight
                places[key].append(at)
                grown.add(key)
        del counts[pair]
        self.symbol_counts[left] -= joined
        self.symbol_counts[right] -= joined
        self.symbol_counts[new] += joined
        return {key for key in grown if counts[key] > 0}

    def first_place(self, pair: int) -> int:
        """The first place where a pair stands, counting through the words in their order."""
        left, right = sides(pair)
        symbols, ahead, places = self._symbols, self._ahead, self._places[pair]
        known, of = self._first.get(pair, (0, 0))
        if of != len(places) or symbols[known] != left or symbols[ahead[known]] != right:
            known = min(at for at in places if symbols[at] == left and symbols[ahead[at]] == right)
            self._first[pair] = known, len(places)
        return known

    def words(self) -> Iterator[list[int]]:
        """The words as they are now."""
        word: list[int] = []
        for symbol in self._symbols[1:]:
            if symbol == _BORDER:
                yield word
                word = []
            elif symbol != _GONE:
                word.append(symbol)
