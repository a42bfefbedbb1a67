"""How alike texts are: the cosine of each pair, the most and least similar, and the nearest to a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isinglass.core.errors import ConfigError
from isinglass.embedding.embeddings import Embeddings
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table


@dataclass(frozen=True, eq=False)
class Similarity(Finding):
    """The cosine matrix."""

    embeddings: Embeddings
    command: str | None = None

    @property
    def figure(self) -> Figure:
        """A cell for each pair."""
        from isinglass.show.marks.heatmap import heatmap

        names = [short(text, number) for number, text in enumerate(self.embeddings.texts, start=1)]
        low = min(0.0, float(self.embeddings.cosines.min()))
        return heatmap(
            np.clip(self.embeddings.cosines, -1, 1), title="How alike the texts are", rows=names, columns=names, row_axis="text",
            column_axis="other text", value="cosine", limits=(low, 1.0), command=self.command,
        )  # fmt: skip

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.figure]

    @property
    def data(self) -> Any:
        return {"texts": list(self.embeddings.texts), "cosines": self.embeddings.cosines.tolist()}


@dataclass(frozen=True)
class Pair:
    """Two texts, by their places, and their cosine."""

    first: int
    second: int
    cosine: float


@dataclass(frozen=True, eq=False)
class Pairs(Finding):
    """The pairs at both ends: `most` similar first, `least` similar first."""

    embeddings: Embeddings
    most: tuple[Pair, ...]
    least: tuple[Pair, ...]
    command: str | None = None

    @property
    def table(self) -> Table:
        """Both ends."""
        texts = self.embeddings.texts
        rows = [
            {"end": end, "cosine": pair.cosine, "text": texts[pair.first], "other text": texts[pair.second]}
            for end, some in (("most alike", self.most), ("least alike", self.least))
            for pair in some
        ]
        return Table(rows, title="The most and the least similar pairs", command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table]

    @property
    def data(self) -> Any:
        return self.table.rows


def pairs(embeddings: Embeddings, n: int, *, command: str | None = None) -> Pairs:
    """The ends of the order of all pairs. Raises ConfigError for fewer than two texts and for n below 1."""
    if len(embeddings.texts) < 2:
        raise ConfigError("one text has no pair", hint="give two texts or more")
    if n < 1:
        raise ConfigError(f"n = {n!r}, expected at least 1")
    first, second = np.triu_indices(len(embeddings.texts), k=1)
    cosines = embeddings.cosines[first, second]
    order = np.argsort(-cosines, kind="stable")
    found = [Pair(int(first[place]), int(second[place]), float(cosines[place])) for place in order]
    return Pairs(embeddings, tuple(found[:n]), tuple(found[::-1][:n]), command)


@dataclass(frozen=True, eq=False)
class Nearest(Finding):
    """`places [query, n]` and their `cosines`, the nearest first."""

    items: Embeddings
    query: Embeddings
    places: np.ndarray
    cosines: np.ndarray
    command: str | None = None

    @property
    def table(self) -> Table:
        """The nearest items of each query."""
        rows = [
            {"query": text, "rank": rank, "cosine": float(cosine), "item": self.items.texts[place]}
            for text, places, cosines in zip(self.query.texts, self.places, self.cosines, strict=True)
            for rank, (place, cosine) in enumerate(zip(places, cosines, strict=True), start=1)
        ]
        return Table(rows, title="The nearest items", command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table]

    @property
    def data(self) -> Any:
        return self.table.rows


def nearest(items: Embeddings, query: Embeddings, n: int, *, command: str | None = None) -> Nearest:
    """The nearest items of each query by cosine. An item with a query's very text is left out. Raises ConfigError."""
    if items.vectors.shape[1] != query.vectors.shape[1]:
        raise ConfigError(
            f"items have {items.vectors.shape[1]} numbers each, queries {query.vectors.shape[1]}: they are of different models"
        )
    same = np.array([[text == item for item in items.texts] for text in query.texts])
    cosines = np.where(same, -np.inf, query.vectors @ items.vectors.T)
    if n < 1 or np.isfinite(cosines).sum(axis=1).min() < n:
        raise ConfigError(f"n = {n!r}, expected 1 to the number of other items, {int(np.isfinite(cosines).sum(axis=1).min())}")
    places = np.argsort(-cosines, axis=1, kind="stable")[:, :n]
    return Nearest(items, query, places, np.take_along_axis(cosines, places, axis=1), command)


def short(text: str, number: int, *, limit: int = 28) -> str:
    """A text as it fits on an axis or beside a point; numbered, so that two texts never have one name.

    >>> short("The quick brown fox jumps over the dog", 3)
    '3 The quick brown fox jumps …'
    """
    whole = f"{number} {text}"
    return whole if len(whole) <= limit else whole[: limit - 1].rstrip() + " …"
