"""Texts as points in a plane: PCA, which keeps what varies most, and t-SNE, which keeps neighbours together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import ConfigError, unknown
from isinglass.embedding.embeddings import Embeddings
from isinglass.embedding.similarity import short
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable

Method = Literal["pca", "tsne"]
_LEAST = 3  # texts that a plane says anything about


@dataclass(frozen=True, eq=False)
class Projection(Finding):
    """`points [text, 2]`. `separation` is the silhouette of the labels in the plane (-1..1; None without labels of at least two kinds)."""

    method: Method
    embeddings: Embeddings
    points: NDArray[np.float64]
    labels: tuple[str, ...] | None
    notes: tuple[str, ...]
    separation: float | None
    command: str | None = None

    @property
    def figure(self) -> Figure:
        """The points, coloured by label."""
        from isinglass.show.marks.scatter import scatter

        name = {"pca": "PCA", "tsne": "t-SNE"}[self.method]
        notes = [*self.notes, *([] if self.separation is None else [f"silhouette of the labels in this plane: {self.separation:.2f}"])]
        names = [short(text, number, limit=18) for number, text in enumerate(self.embeddings.texts, start=1)]
        return scatter(
            self.points[:, 0].tolist(), self.points[:, 1].tolist(), title=f"The texts in a plane: {name}", x=f"{name} 1", y=f"{name} 2",
            labels=names, groups=self.labels, command=self.command, notes=notes,
        )  # fmt: skip

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.figure]

    @property
    def data(self) -> Any:
        return {
            "method": self.method, "texts": list(self.embeddings.texts), "points": self.points.tolist(),
            "labels": None if self.labels is None else list(self.labels), "separation": self.separation, "notes": list(self.notes),
        }  # fmt: skip


def perplexity(n_texts: int) -> float:
    """How many neighbours t-SNE looks at: 30 where there are enough texts, a third of the others below that (van der Maaten and Hinton
    2008 advise 5 to 50; it has to be less than the number of texts).

    >>> perplexity(20), perplexity(1000)
    (6.333333333333333, 30.0)
    """
    return min(30.0, max(1.0, (n_texts - 1) / 3))


def project(
    embeddings: Embeddings, method: str, *, labels: Sequence[str] | None = None, seed: int = 0, command: str | None = None
) -> Projection:
    """Two numbers for each text. Raises ConfigError for fewer than three texts, another method, or labels that do not fit."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    kinds = embeddings.checked(labels)
    n_texts = len(embeddings.texts)
    if n_texts < _LEAST:
        raise ConfigError(f"{n_texts} texts make no map, expected at least {_LEAST}")
    vectors = embeddings.vectors.astype(np.float64)
    if method == "pca":
        pca = PCA(2, random_state=seed)
        points, shares = pca.fit_transform(vectors), pca.explained_variance_ratio_
        notes = (f"the plane holds {shares.sum():.0%} of the variance ({shares[0]:.0%} and {shares[1]:.0%})",)
    elif method == "tsne":
        near = perplexity(n_texts)
        points = TSNE(2, perplexity=near, init="pca", random_state=seed).fit_transform(vectors)
        notes = (f"perplexity {near:.1f}, seed {seed}; distances between groups mean little",)
    else:
        raise unknown("map", method, ["pca", "tsne"])
    return Projection(method, embeddings, points, kinds, notes, silhouette(points, kinds), command)  # type: ignore[arg-type]


def silhouette(points: NDArray[np.floating], labels: Sequence[str] | None) -> float | None:
    """How much nearer each text is to its own label than to the next (Rousseeuw 1987), -1..1; None where that has no meaning."""
    from sklearn.metrics import silhouette_score

    if labels is None or not 1 < len(set(labels)) < len(labels):
        return None
    return float(silhouette_score(points, list(labels)))
