"""A hard measure of retrieval: which verse of the World English Bible says what a verse of the King James Version says?

The right answer is known for every verse, the translations share half of their words, and among 31,099 verses many are near.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isinglass.core.errors import ConfigError
from isinglass.data.records import Record
from isinglass.data.sources import read
from isinglass.retrieval.documents import SourceText
from isinglass.retrieval.index import Way, make_index
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table

WAYS: tuple[Way, ...] = ("words", "dense", "hybrid", "rerank")


@dataclass(frozen=True)
class Searched:
    """One way: shares of the questions whose verse came first and among the first five, and the seconds of each search."""

    way: str
    first: float
    among_five: float
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class VerseSearch(Finding):
    """`peak_bytes` is the most memory that the process held."""

    n_verses: int
    n_questions: int
    index_seconds: float
    peak_bytes: int
    ways: tuple[Searched, ...]
    command: str | None = None

    @property
    def table(self) -> Table:
        """A row for each way."""
        rows = [
            {
                "way": one.way, "first": one.first, "among_5": one.among_five,
                "median_seconds": float(np.median(one.seconds)), "p95_seconds": float(np.percentile(one.seconds, 95)),
            }
            for one in self.ways
        ]  # fmt: skip
        notes = [
            f"{self.n_verses:,} verses indexed in {self.index_seconds:.0f} s, {self.n_questions:,} questions drawn from them",
            f"most memory of the process: {self.peak_bytes / 1e6:,.0f} MB, the model included",
        ]
        units = dict.fromkeys(["first", "among_5"], "ratio")
        return Table(rows, title="King James verses find their modern twins", units=units, notes=notes, command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table]

    @property
    def data(self) -> Any:
        return {
            "verses": self.n_verses, "questions": self.n_questions, "index_seconds": self.index_seconds, "peak_bytes": self.peak_bytes,
            "ways": self.table.rows,
        }  # fmt: skip


def search_verses(
    place: str,
    *,
    verses: int | None = None,
    questions: int = 500,
    seed: int = 0,
    tell: Callable[[str], None] = lambda line: None,
    command: str | None = None,
) -> VerseSearch:
    """Index the modern verses at `place` (the first `verses`; None: all) and search for each of `questions` older ones, drawn by `seed`."""
    import resource

    pairs = [record for _, record in zip(range(verses or 10**9), read("kjv-web"), strict=False)]
    if not 0 < questions <= len(pairs):
        raise ConfigError(f"questions = {questions!r}, expected 1 to the number of verses, {len(pairs):,}")
    begun = time.perf_counter()
    documents = [SourceText(str(number), record["web"]) for number, record in enumerate(pairs)]
    # one passage for each verse: the longest has fewer tokens than this
    index = make_index(place, documents, size=400, overlap=0, tell=_now_and_then(tell))
    seconds = time.perf_counter() - begun
    drawn = np.random.default_rng(seed).choice(len(pairs), size=questions, replace=False)
    ways = []
    for way in WAYS:
        ways.append(_searched(index.search, way, pairs, drawn.tolist()))
        tell(f"{way}: {ways[-1].first:.1%} first")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return VerseSearch(len(pairs), questions, seconds, peak, tuple(ways), command)


def _searched(search: Callable[..., Any], way: Way, pairs: Sequence[Record], drawn: Sequence[int]) -> Searched:
    ranks, seconds = [], []
    for number in drawn:
        begun = time.perf_counter()
        found = search(pairs[number]["kjv"], 5, way=way)
        seconds.append(time.perf_counter() - begun)
        sources = [one.chunk.source for one in found]
        ranks.append(sources.index(str(number)) if str(number) in sources else 5)
    return Searched(way, float(np.mean(np.array(ranks) == 0)), float(np.mean(np.array(ranks) < 5)), tuple(seconds))


def _now_and_then(tell: Callable[[str], None]) -> Callable[[int, int], None]:
    def told(done: int, total: int) -> None:
        if done % 2048 == 0 or done == total:
            tell(f"{done:,} of {total:,} verses indexed")

    return told
