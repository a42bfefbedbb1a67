"""What vectors know of labels: logistic regression on them, beside TF-IDF and the majority, on texts held out in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isinglass.core.errors import ConfigError
from isinglass.embedding.embeddings import Embeddings
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table


@dataclass(frozen=True)
class Classified(Finding):
    """Accuracy of each way, 0..1, over all texts, each judged by a classifier that has not seen it."""

    accuracies: dict[str, float]
    folds: int
    n_texts: int
    command: str | None = None

    @property
    def table(self) -> Table:
        """A row for each way."""
        rows = [{"classifier": name, "accuracy": value} for name, value in self.accuracies.items()]
        notes = [f"{self.n_texts} texts, held out in {self.folds} parts in turn"]
        return Table(rows, title="What the vectors know of the labels", units={"accuracy": "ratio"}, notes=notes, command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table]

    @property
    def data(self) -> Any:
        return {"accuracies": self.accuracies, "folds": self.folds}


def classified(embeddings: Embeddings, labels: Sequence[str], *, folds: int = 5, command: str | None = None) -> Classified:
    """Cross-validated with equal shares of the labels. Raises ConfigError for one label, or a label with fewer texts than folds."""
    from sklearn.dummy import DummyClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline

    kinds = np.array(embeddings.checked(labels))
    counts = np.unique(kinds, return_counts=True)[1]
    if len(counts) < 2 or folds < 2 or counts.min() < folds:
        raise ConfigError(f"{folds} folds need two labels with {folds} texts each at least, the rarest of {len(counts)} has {counts.min()}")
    split = StratifiedKFold(folds, shuffle=True, random_state=0)
    texts = np.array(embeddings.texts, dtype=object)
    ways = {
        "vectors": (LogisticRegression(C=10, max_iter=1000), embeddings.vectors),
        "TF-IDF": (make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=1000)), texts),
        "majority": (DummyClassifier(), embeddings.vectors),
    }
    # texts are as many in each part but for one: the mean over parts weighted by their size is the accuracy over texts
    sizes = [len(test) for _, test in split.split(texts, kinds)]
    found = {name: float(np.average(cross_val_score(model, x, kinds, cv=split), weights=sizes)) for name, (model, x) in ways.items()}
    return Classified(found, folds, len(kinds), command)
