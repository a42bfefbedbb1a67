"""Learning merges: join the best pair of the corpus, again and again.

What is best is an `Order`. The heap is lazy: an entry is looked at again when it surfaces, and put back if its pair has become worse;
pairs that become better are put in anew. So every step takes the pair that a fresh count of the whole corpus would take.

Two pairs can spell the same piece (`a|bc`, `ab|c`); they share its id, as in Hugging Face `tokenizers`. A pair that was learned before
and stands there again, because one of its sides was spelled another way, is joined at once: that is what an encoder would do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any, Generic, Literal

from isinglass.text.algorithms.base import S
from isinglass.text.learning.pairs import Pairs, sides

#: Which of several equally good pairs comes first.
Ties = Literal["lowest_ids", "first_seen", "shortest"]
Key = tuple[Any, ...]


class Pieces(Generic[S]):
    """The growing vocabulary. `joined` spells the piece of two; pieces in `forbidden` are never made (special tokens)."""

    def __init__(self, alphabet: Iterable[S], joined: Callable[[S, S], S], forbidden: Container[S] = ()) -> None:
        self.by_id: list[S] = list(alphabet)
        self.ids: dict[S, int] = {piece: id for id, piece in enumerate(self.by_id)}
        self.ranks: dict[int, int] = {}
        self._joined = joined
        self._forbidden = forbidden

    def __len__(self) -> int:
        return len(self.by_id)

    def spelled(self, pair: int) -> S:
        """The piece that a pair makes."""
        left, right = sides(pair)
        return self._joined(self.by_id[left], self.by_id[right])

    def learn(self, pair: int) -> int | None:
        """The id of the piece that a pair makes, new or known; None when it may not be made."""
        piece = self.spelled(pair)
        if piece in self._forbidden:
            return None
        self.ranks[pair] = len(self.ranks)
        if piece not in self.ids:
            self.ids[piece] = len(self.by_id)
            self.by_id.append(piece)
        return self.ids[piece]

    def merges(self) -> dict[tuple[S, S], int]:
        """The rank of each pair of pieces."""
        named = ((sides(pair), rank) for pair, rank in self.ranks.items())
        return {(self.by_id[left], self.by_id[right]): rank for (left, right), rank in named}


class Order(ABC):
    """Which pair is joined next: the one with the smallest key. A key ends with the pair itself."""

    def __init__(self, pairs: Pairs, pieces: Pieces[Any], ties: Ties, *, min_frequency: int = 1) -> None:
        self.pairs = pairs
        self.min_frequency = min_frequency
        self.counts = pairs.counts
        self._tie = _TIES[ties](pairs, pieces)

    @abstractmethod
    def key(self, pair: int) -> Key | None:
        """How good a pair is now; None when it does not occur often enough."""

    def joined(self, pair: int, grown: set[int]) -> Iterable[int]:
        """Told after a pair was joined: the pairs that may have become better, of which `grown` came to occur more often."""
        return grown


class MostFrequent(Order):
    """The pair that occurs most often."""

    def key(self, pair: int) -> Key | None:
        count = self.counts.get(pair, 0)
        return (-count, *self._tie(pair), pair) if count >= self.min_frequency else None


class MostLikely(Order):
    """The pair that occurs most often for how often its sides occur: `count(ab) / (count(a) * count(b))`.

    The quotient is rounded to float64, correctly, whatever the size of the counts. A merge makes its two sides rarer, and with that
    all other pairs that have them better.
    """

    def __init__(self, pairs: Pairs, pieces: Pieces[Any], ties: Ties, *, min_frequency: int = 1) -> None:
        super().__init__(pairs, pieces, ties, min_frequency=min_frequency)
        self._having: defaultdict[int, set[int]] = defaultdict(set)
        self._remember(pairs.counts)

    def key(self, pair: int) -> Key | None:
        count = self.counts.get(pair, 0)
        if count < self.min_frequency:
            return None
        left, right = sides(pair)
        frequency = self.pairs.symbol_counts
        return (-count / (frequency[left] * frequency[right]), *self._tie(pair), pair)

    def joined(self, pair: int, grown: set[int]) -> Iterable[int]:
        self._remember(grown)
        better = set(grown)
        for symbol in {*sides(pair)}:
            having = self._having[symbol]
            having -= {other for other in having if not self.counts.get(other)}
            better |= having
        return better

    def _remember(self, pairs: Iterable[int]) -> None:
        for pair in pairs:
            for symbol in sides(pair):
                self._having[symbol].add(pair)


def _lowest_ids(pairs: Pairs, pieces: Pieces[Any]) -> Callable[[int], Key]:
    """The lower left id, then the lower right id: Hugging Face `tokenizers`."""
    return lambda pair: ()


def _first_seen(pairs: Pairs, pieces: Pieces[Any]) -> Callable[[int], Key]:
    """The pair that stands earliest in the distinct words, in the order they were seen: minbpe, and courses that rescan."""
    return lambda pair: (pairs.first_place(pair),)


def _shortest(pairs: Pairs, pieces: Pieces[Any]) -> Callable[[int], Key]:
    """The pair that makes the shorter piece, then the one whose piece is first in order of characters: SentencePiece."""

    def key(pair: int) -> Key:
        piece = pieces.spelled(pair)
        return len(piece), piece

    return key


_TIES = {"lowest_ids": _lowest_ids, "first_seen": _first_seen, "shortest": _shortest}


def learning(pairs: Pairs, pieces: Pieces[Any], order: Order) -> Iterator[int]:
    """Join the best pair, learn its piece, and yield it, until no pair is left that occurs often enough. Stop when there are enough."""
    heap = [key for key in map(order.key, list(pairs.counts)) if key is not None]
    heapify(heap)
    while heap:
        pair = heap[0][-1]
        now = order.key(pair)
        if now != heap[0]:
            _ = heappop(heap) if now is None else heapreplace(heap, now)
            continue
        heappop(heap)
        new = pieces.learn(pair)
        if new is None:
            del pairs.counts[pair]
            continue
        for better in _join(pair, new, pairs, pieces, order):
            key = order.key(better)
            if key is not None:
                heappush(heap, key)
        yield pair


def grown(pieces: Pieces[Any], pairs: Pairs, order: Order, size: int | None) -> Iterator[int]:
    """Learn until there are `size` pieces (None: until no pair is left), yielding how many there are after each merge."""
    if size is not None and len(pieces) >= size:
        return
    for _ in learning(pairs, pieces, order):
        yield len(pieces)
        if len(pieces) == size:
            return


def _join(pair: int, new: int, pairs: Pairs, pieces: Pieces[Any], order: Order) -> set[int]:
    """Join a pair, and what was learned before and stands there again, earliest first; returns the pairs that may have become better."""
    better = set(order.joined(pair, pairs.join(pair, new)))
    while again := better & pieces.ranks.keys() & {key for key in better if pairs.counts.get(key)}:
        earlier = min(again, key=pieces.ranks.__getitem__)
        better |= set(order.joined(earlier, pairs.join(earlier, pieces.ids[pieces.spelled(earlier)])))
    return better
