"""Groups of texts by k-means, how clear they are, and how well they agree with labels that somebody gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import ConfigError
from isinglass.embedding.embeddings import Embeddings
from isinglass.embedding.projection import silhouette
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table


@dataclass(frozen=True, eq=False)
class Clusters(Finding):
    """`groups [text]` are numbers from 0; `labels` what somebody says they should be (None: nobody)."""

    embeddings: Embeddings
    groups: NDArray[np.intp]
    labels: tuple[str, ...] | None
    command: str | None = None

    @property
    def silhouette(self) -> float | None:
        """Of the groups, -1..1."""
        return silhouette(self.embeddings.vectors, [str(group) for group in self.groups])

    @property
    def label_silhouette(self) -> float | None:
        """Of the labels: how clearly the vectors themselves tell them apart."""
        return silhouette(self.embeddings.vectors, self.labels)

    @property
    def purity(self) -> float | None:
        """Share of the texts whose label is the most frequent of their group, 0..1."""
        if self.labels is None:
            return None
        return sum(max(Counter(self._labels_of(group)).values()) for group in self._numbers()) / len(self.labels)

    def _numbers(self) -> list[int]:
        return sorted(set(self.groups.tolist()))

    def _labels_of(self, group: int) -> list[str]:
        return [label for label, own in zip(self.labels or (), self.groups, strict=True) if own == group]

    @property
    def table(self) -> Table:
        """A row for each group: its size, what it holds, and a text of it."""
        rows = []
        for group in self._numbers():
            texts = [text for text, own in zip(self.embeddings.texts, self.groups, strict=True) if own == group]
            held = (
                {}
                if self.labels is None
                else {"labels": ", ".join(f"{label} {n}" for label, n in Counter(self._labels_of(group)).most_common())}
            )
            rows.append({"group": group, "texts": len(texts), **held, "one of them": texts[0]})
        clear = "" if self.silhouette is None else f"silhouette {self.silhouette:.3f}"
        agree = "" if self.purity is None else f"purity {self.purity:.1%}"
        own = "" if self.label_silhouette is None else f"silhouette of the labels themselves {self.label_silhouette:.3f}"
        return Table(rows, title="Groups by k-means", notes=[note for note in (clear, agree, own) if note], command=self.command)

    @property
    def figure(self) -> Figure | None:
        """Labels against groups; None without labels."""
        if self.labels is None:
            return None
        from isinglass.show.marks.heatmap import heatmap

        names, groups = sorted(set(self.labels)), self._numbers()
        counts = [[self._labels_of(group).count(name) for group in groups] for name in names]
        return heatmap(
            counts, title="Labels and groups", rows=names, columns=[str(group) for group in groups], row_axis="label",
            column_axis="group", value="texts", command=self.command,
        )  # fmt: skip

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table, *([] if self.figure is None else [self.figure])]

    @property
    def data(self) -> Any:
        return {
            "groups": self.groups.tolist(), "silhouette": self.silhouette, "purity": self.purity,
            "label_silhouette": self.label_silhouette, "rows": self.table.rows,
        }  # fmt: skip


def cluster(embeddings: Embeddings, k: int, *, labels: Sequence[str] | None = None, seed: int = 0, command: str | None = None) -> Clusters:
    """k-means over unit vectors, the best of ten starts. Raises ConfigError for a k that cannot be, or labels that do not fit."""
    from sklearn.cluster import KMeans

    kinds = embeddings.checked(labels)
    distinct = len(np.unique(embeddings.vectors, axis=0))
    if not 1 <= k <= distinct:
        raise ConfigError(f"k = {k!r}, expected 1 to the number of different texts, {distinct}")
    groups = KMeans(k, n_init=10, random_state=seed).fit_predict(embeddings.vectors.astype(np.float64))  # type: ignore[arg-type]
    return Clusters(embeddings, np.asarray(groups, np.intp), kinds, command)
