"""Remembers the ids of pretokens. Real text repeats its words: of 41,000 pretokens in 186 kB of prose only 6,000 differ."""

from __future__ import annotations

from collections.abc import Callable

MOST_ENTRIES = 1 << 17
LONGEST_KEY = 64


class PretokenCache(dict[str, tuple[int, ...]]):
    """A dict that computes what it lacks. Lookups run in C (`map(cache.__getitem__, words)`), which is why it is a dict.

    Bounded: at most `MOST_ENTRIES` pretokens of at most `LONGEST_KEY` characters; a full cache is emptied. Safe to share between
    threads: a value depends on nothing but its key, and single dict operations are atomic.
    """

    def __init__(self, compute: Callable[[str], tuple[int, ...]]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, pretoken: str) -> tuple[int, ...]:
        ids = self._compute(pretoken)
        if len(pretoken) <= LONGEST_KEY:
            if len(self) >= MOST_ENTRIES:
                self.clear()
            self[pretoken] = ids
        return ids
