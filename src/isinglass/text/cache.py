"""Remembers what was computed for pretokens. Real text repeats its words: of 41,000 pretokens in 186 kB of prose only 6,000 differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

MOST_ENTRIES = 1 << 17
LONGEST_KEY = 64


#: What is remembered of a pretoken.
V = TypeVar("V")


class PretokenCache(dict[str, V]):
    """A dict that computes what it lacks. Lookups run in C (`map(cache.__getitem__, words)`), which is why it is a dict.

    Bounded: at most `MOST_ENTRIES` pretokens of at most `LONGEST_KEY` characters; a full cache is emptied. Safe to share between
    threads: a value depends on nothing but its key, and single dict operations are atomic.
    """

    def __init__(self, compute: Callable[[str], V]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, pretoken: str) -> V:
        value = self._compute(pretoken)
        if len(pretoken) <= LONGEST_KEY:
            if len(self) >= MOST_ENTRIES:
                self.clear()
            self[pretoken] = value
        return value
