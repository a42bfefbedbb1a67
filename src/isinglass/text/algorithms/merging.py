"""The merge loop of byte pair encoding: join the neighbours of lowest rank, leftmost first, until none can be joined.

Two forms with the same result. Rescanning costs O(n²) but almost nothing for the short pieces that text consists of; a heap over a
linked list costs O(n log n) and takes over for long ones. `linear_bpe.py` has the same in O(n), for the longest.
Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, NamedTuple

from isinglass.text.algorithms.base import S

#: The rank of two neighbours that cannot be joined; above every real rank.
NEVER = 1 << 40

# Rescanning is the faster one up to about this many symbols (measured on random letters with the cl100k ranks).
LONG = 80


def merge(symbols: list[S], rank: Callable[[S, S], int]) -> list[S]:
    """The symbols after all merges; `rank(left, right)` is `NEVER` for neighbours that do not join.

    >>> merge(list("abab"), lambda left, right: {"ab": 0, "abab": 1}.get(left + right, NEVER))
    ['abab']
    """
    return merge_by_scan(symbols, rank) if len(symbols) < LONG else merge_by_heap(symbols, rank)


class Merge(NamedTuple, Generic[S]):
    """One step: the symbols at `at` and `at + 1` were joined, because no other neighbours had a lower rank."""

    rank: int
    at: int
    left: S
    right: S


def merge_steps(symbols: list[S], rank: Callable[[S, S], int]) -> Iterator[Merge[S]]:
    """The merges in the order in which they happen.

    >>> [step.left + step.right for step in merge_steps(list("abab"), lambda a, b: {"ab": 0, "abab": 1}.get(a + b, NEVER))]
    ['ab', 'ab', 'abab']
    """
    symbols = list(symbols)
    while len(symbols) > 1:
        ranks = list(map(rank, symbols, symbols[1:]))
        best = min(ranks)
        if best >= NEVER:
            return
        at = ranks.index(best)
        left, right = symbols[at : at + 2]
        symbols[at : at + 2] = [left + right]
        yield Merge(best, at, left, right)


def merge_by_scan(symbols: list[S], rank: Callable[[S, S], int]) -> list[S]:
    """The definition: look at all neighbours, join the best, again."""
    symbols = list(symbols)
    ranks = list(map(rank, symbols, symbols[1:]))
    while ranks:
        best = min(ranks)
        if best >= NEVER:
            break
        at = ranks.index(best)
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
        del ranks[at]
        if at < len(ranks):
            ranks[at] = rank(symbols[at], symbols[at + 1])
        if at:
            ranks[at - 1] = rank(symbols[at - 1], symbols[at])
    return symbols


def merge_by_heap(symbols: list[S], rank: Callable[[S, S], int]) -> list[S]:
    """The same in O(n log n). A heap entry is `rank << 32 | place`; entries that no longer hold are skipped when they surface."""
    count = len(symbols)
    parts: list[S | None] = list(symbols)
    ahead = list(range(1, count + 1))
    behind = list(range(-1, count - 1))
    current = [*map(rank, symbols, symbols[1:]), NEVER]
    heap = [best << 32 | at for at, best in enumerate(current) if best < NEVER]
    heapify(heap)
    while heap:
        entry = heappop(heap)
        at = entry & 0xFFFFFFFF
        if current[at] != entry >> 32:
            continue
        right = ahead[at]
        joined = parts[at] + parts[right]  # type: ignore[operator]
        parts[at], parts[right], current[right] = joined, None, NEVER
        after = ahead[at] = ahead[right]
        current[at] = NEVER
        if after < count:
            behind[after] = at
            best = current[at] = rank(joined, parts[after])  # type: ignore[arg-type]
            if best < NEVER:
                heappush(heap, best << 32 | at)
        before = behind[at]
        if before >= 0:
            best = current[before] = rank(parts[before], joined)  # type: ignore[arg-type]
            if best < NEVER:
                heappush(heap, best << 32 | before)
    return [part for part in parts if part is not None]
