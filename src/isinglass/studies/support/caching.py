"""How many questions of a stream a response cache answers, by text and by meaning, and how many of those wrongly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isinglass.economics.cache_hits import Hits, exact_hits, semantic_hits
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.studies.support.questions import Query, texts

Vectors = Callable[[Sequence[str]], NDArray[np.floating]]  # of length 1
THRESHOLDS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6)
FEW = 0.02  # wrong answers among the hits that a plan may count with


@dataclass(frozen=True)
class CacheStudy(Finding):
    """`exact` and `semantic` (threshold -> hits) over the same stream. Unlabelled streams cannot tell wrong answers."""

    queries: tuple[Query, ...]
    exact: Hits
    semantic: dict[float, Hits]
    command: str | None = None

    @property
    def is_labelled(self) -> bool:
        return all(query.intent is not None for query in self.queries)

    @property
    def best(self) -> float | None:
        """The threshold that finds most with at most 2 % wrong answers; None where no threshold is so good, or nothing is labelled."""
        good = [threshold for threshold, hits in self.semantic.items() if hits.wrong <= FEW]
        return max(good, key=lambda one: self.semantic[one].hit_rate, default=None) if self.is_labelled else None

    @property
    def saving(self) -> str:
        """What a workload's file gets from this."""
        if self.best is None or self.semantic[self.best].hit_rate <= self.exact.hit_rate:
            return f"response_cache(hit_rate={self.exact.hit_rate:.2f})"
        hits = self.semantic[self.best]
        return f"response_cache(hit_rate={hits.hit_rate:.2f}, match='semantic', wrong={hits.wrong:.3f})"

    @property
    def table(self) -> Table:
        """A row for each way to compare."""
        told = lambda hits: hits.wrong if self.is_labelled else None  # noqa: E731
        rows = [{"match": "exact", "threshold": None, "hit_rate": self.exact.hit_rate, "wrong": told(self.exact)}]
        rows += [
            {"match": "semantic", "threshold": threshold, "hit_rate": hits.hit_rate, "wrong": told(hits)}
            for threshold, hits in self.semantic.items()
        ]
        notes = [f"{len(self.queries):,} questions, {len({query.text for query in self.queries}):,} of them different texts"]
        notes += ["wrong: share of the hits whose answer belongs to another question"] if self.is_labelled else []
        units = dict.fromkeys(["hit_rate", "wrong"], "ratio")
        return Table(
            rows, title="What a response cache finds", units=units, notes=[*notes, f"for a workload: {self.saving}"], command=self.command
        )

    @property
    def figure(self) -> Figure:
        """Hit rate while the cache fills."""
        from isinglass.show.marks.lines import lines

        seen = list(range(1, len(self.queries) + 1))
        curves = {"exact": self.exact} | ({} if self.best is None else {f"semantic, threshold {self.best:g}": self.semantic[self.best]})
        series = {name: (seen, [float(rate) for rate in hits.rate_so_far()]) for name, hits in curves.items()}
        return lines(series, title="The hit rate while the cache fills", x="questions so far", y="hit rate", command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table, self.figure]

    @property
    def data(self) -> Any:
        return {"questions": len(self.queries), "rows": self.table.rows, "saving": self.saving}


def cache_study(
    queries: Sequence[Query], vectors: Vectors, *, thresholds: Sequence[float] = THRESHOLDS, command: str | None = None
) -> CacheStudy:
    """Run the stream through each cache, in order. `vectors` gives a unit vector of each text; equal texts are asked for once."""
    asked = texts(queries)
    # an unlabelled question is stored like any other
    answers = [query.answer if query.intent is not None else "unknown" for query in queries]
    distinct = {text: place for place, text in enumerate(dict.fromkeys(asked))}
    found = vectors(list(distinct))[[distinct[text] for text in asked]]
    semantic = {one: semantic_hits(found, answers, threshold=one) for one in sorted(thresholds, reverse=True)}
    return CacheStudy(tuple(queries), exact_hits(asked, answers), semantic, command)


def tfidf(texts_: Sequence[str]) -> NDArray[np.floating]:
    """Unit vectors of pieces of 3 to 5 letters: no model, and robust to typing errors."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), lowercase=True).fit_transform(texts_).toarray().astype(np.float32)
