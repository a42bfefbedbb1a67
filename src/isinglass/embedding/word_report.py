"""`WordReport`: what word vectors say: nearest words, sums of words, cosines, and how well they agree with people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isinglass.embedding.word_lists import FILES, agreement
from isinglass.embedding.word_vectors import WordVectors, parse_terms
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table


@dataclass(frozen=True, eq=False)
class WordReport(Finding):
    """Questions to vectors: words whose `nearest` are asked for, sums (`analogies`), pairs of words, and whether lists are compared."""

    vectors: WordVectors
    nearest: tuple[str, ...] = ()
    analogies: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    lists: tuple[str, ...] = ()
    n: int = 8
    command: str | None = None

    @property
    def parts(self) -> Sequence[Showable]:
        found: list[Showable] = []
        if self.nearest:
            found.append(self._table("The nearest words", [row for word in self.nearest for row in self._near(word)]))
        for expression in self.analogies:
            found.append(self._table(f"{expression}", self._sum(expression)))
        if self.pairs:
            rows = [{"word": one, "other": other, "cosine": self.vectors.similarity(one, other)} for one, other in self.pairs]
            found.append(self._table("How alike", rows))
        if self.lists:
            notes = ["covered: entries whose words all have vectors; the others are left out"]
            found.append(
                Table(
                    [agreement(self.vectors, name).row() for name in self.lists], title="Beside people", notes=notes, command=self.command
                )
            )
        return [*found, self.map]

    def _near(self, word: str) -> list[dict[str, Any]]:
        return [{"word": word, "near": near.word, "cosine": near.cosine} for near in self.vectors.nearest(word, self.n)]

    def _sum(self, expression: str) -> list[dict[str, Any]]:
        left_out = self.vectors.analogy(expression, self.n)
        whole = self.vectors.analogy(expression, self.n, with_inputs=True)
        return [
            {"rank": rank, "its words left out": a.word, "cosine": a.cosine, "all words": b.word, "cosine of it": b.cosine}
            for rank, (a, b) in enumerate(zip(left_out, whole, strict=False), start=1)  # of few words one list may be longer
        ]

    def _table(self, title: str, rows: list[dict[str, Any]]) -> Table:
        return Table(rows, title=title, command=self.command)

    @property
    def map(self) -> Figure:
        """The words that were asked for, and their neighbours, by PCA; the most frequent words where nothing was asked."""
        import numpy as np
        from sklearn.decomposition import PCA

        from isinglass.show.marks.scatter import scatter

        asked = [
            *self.nearest,
            *(word for text in self.analogies for _, word in parse_terms(text)),
            *(w for pair in self.pairs for w in pair),
        ]
        near = [near.word for word in asked for near in self.vectors.nearest(word, 5)]
        words = list(dict.fromkeys([*asked, *near])) or list(self.vectors.words[:30])
        groups = ["asked for" if word in asked else "near" for word in words]
        points = PCA(2, random_state=0).fit_transform(np.stack([self.vectors.vector(word) for word in words]).astype(float))
        return scatter(
            points[:, 0].tolist(), points[:, 1].tolist(), title="Words in a plane", x="PCA 1", y="PCA 2", labels=words, groups=groups,
            command=self.command,
        )  # fmt: skip

    @property
    def data(self) -> Any:
        return {
            "words": len(self.vectors.words), "d": int(self.vectors.vectors.shape[1]),
            "nearest": {word: self._near(word) for word in self.nearest},
            "analogies": {text: self._sum(text) for text in self.analogies},
            "pairs": [{"words": pair, "cosine": self.vectors.similarity(*pair)} for pair in self.pairs],
            "lists": [agreement(self.vectors, name).row() for name in self.lists],
        }  # fmt: skip


LISTS = tuple(FILES)
