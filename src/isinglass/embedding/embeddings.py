"""`Embeddings`: texts with a vector each, and the views of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import ConfigError, ShapeError
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table

if TYPE_CHECKING:
    from isinglass.embedding.clusters import Clusters
    from isinglass.embedding.projection import Projection
    from isinglass.embedding.similarity import Nearest, Pairs, Similarity


@dataclass(frozen=True, eq=False)
class Embeddings(Finding):
    """`vectors [text, d]` (float32, of length 1) of `texts`. The views are findings of their own.

    Raises ShapeError when there is not one vector for each text.
    """

    texts: tuple[str, ...]
    vectors: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.texts):
            raise ShapeError(f"vectors have shape {self.vectors.shape}, expected one row for each of {len(self.texts)} texts")

    @functools.cached_property
    def cosines(self) -> NDArray[np.float32]:
        """`[text, text]`, -1..1."""
        return self.vectors @ self.vectors.T

    def similarity(self, *, command: str | None = None) -> Similarity:
        """The cosine of each pair, as a heat map."""
        from isinglass.embedding.similarity import Similarity

        return Similarity(self, command)

    def pairs(self, n: int = 5, *, command: str | None = None) -> Pairs:
        """The `n` most and the `n` least similar pairs."""
        from isinglass.embedding.similarity import pairs

        return pairs(self, n, command=command)

    def nearest(self, query: Embeddings, n: int = 5, *, command: str | None = None) -> Nearest:
        """The `n` texts nearest to each text of `query`, which has vectors of the same model: search, or a recommendation."""
        from isinglass.embedding.similarity import nearest

        return nearest(self, query, n, command=command)

    def map(
        self, method: Literal["pca", "tsne"] = "pca", *, labels: Sequence[str] | None = None, seed: int = 0, command: str | None = None
    ) -> Projection:
        """The texts as points in a plane."""
        from isinglass.embedding.projection import project

        return project(self, method, labels=labels, seed=seed, command=command)

    def clusters(self, k: int, *, labels: Sequence[str] | None = None, seed: int = 0, command: str | None = None) -> Clusters:
        """`k` groups by k-means, compared with `labels` where there are some."""
        from isinglass.embedding.clusters import cluster

        return cluster(self, k, labels=labels, seed=seed, command=command)

    def checked(self, labels: Sequence[str] | None) -> tuple[str, ...] | None:
        """Labels that fit the texts. Raises ConfigError."""
        if labels is not None and len(labels) != len(self.texts):
            raise ConfigError(f"{len(labels)} labels for {len(self.texts)} texts")
        return None if labels is None else tuple(labels)

    @property
    def table(self) -> Table:
        """Each text with the first numbers of its vector."""
        rows = [
            {"text": text, "vector": " ".join(f"{x:.3f}" for x in vector[:6]) + " …"}
            for text, vector in zip(self.texts, self.vectors, strict=True)
        ]
        return Table(rows, title=f"Vectors of {self.vectors.shape[1]} numbers", notes=["the first six; --json and --save .json hold all"])

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table]

    @property
    def data(self) -> Any:
        return {"texts": list(self.texts), "vectors": self.vectors.tolist()}
