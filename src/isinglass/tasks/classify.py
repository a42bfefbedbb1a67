"""Classify: which label a text has, from a head that was trained for it, or from the names of the labels alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import ConfigError
from isinglass.embedding.contextual import embed
from isinglass.evaluation.classification import classify as by_head
from isinglass.evaluation.classification import labels_of
from isinglass.generation.lm import LM
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table


@dataclass(frozen=True, eq=False)
class Classified(Finding):
    """`scores [text, label]`: probabilities of a head (`measure` "probability"), or cosines with the labels' names ("cosine")."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    scores: NDArray[np.floating]
    measure: str
    command: str | None = None

    @property
    def predicted(self) -> list[str]:
        """The best label of each text."""
        return [self.labels[int(place)] for place in self.scores.argmax(axis=1)]

    @property
    def table(self) -> Table:
        """A row for each text: its label, and the score of every label."""
        rows = [
            {"text": text, "label": label, **{name: float(score) for name, score in zip(self.labels, row, strict=True)}}
            for text, label, row in zip(self.texts, self.predicted, self.scores, strict=True)
        ]
        units = dict.fromkeys(self.labels, "ratio") if self.measure == "probability" else {}
        return Table(rows, title="What the texts are", units=units, notes=[f"the columns of labels: {self.measure}"], command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table]

    @property
    def data(self) -> Any:
        return {"labels": self.labels, "measure": self.measure, "texts": self.table.rows}


def classify(lm: LM, texts: Sequence[str], *, labels: Sequence[str] | None = None, command: str | None = None) -> Classified:
    """The label of each text. Without `labels` they are those of the model's classification head; with them no training is needed: the
    label whose name lies nearest to the text is taken.

    Raises EngineError for a model without a head where no labels are given, ConfigError for fewer than two labels and an empty text.

    Source: for labels by name, Yin et al. 2019, Benchmarking Zero-shot Text Classification.

    >>> import isinglass as ig
    >>> classify(ig.load("minilm"), ["The goalkeeper saved a penalty."], labels=["sports", "food"]).predicted
    ['sports']
    """
    if labels is None:
        labels_of(lm)  # says what is missing before anything is computed
        found = by_head(lm, texts)
        return Classified(tuple(texts), found.labels, found.probabilities, "probability", command)
    if len(set(labels)) < 2 or len(set(labels)) < len(labels):
        raise ConfigError(f"labels = {list(labels)!r}, expected at least two different ones, each once")
    named = embed(lm, list(labels)).vectors
    return Classified(tuple(texts), tuple(labels), embed(lm, texts).vectors @ named.T, "cosine", command)
