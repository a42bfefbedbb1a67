"""What a classifier of texts has to beat: the most frequent class, and words weighted by TF-IDF under a logistic regression."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import ConfigError, DataError, ShapeError
from isinglass.metrics.classification import Classification, classification


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a classifier says of n texts: `probabilities [n, classes]` in the order of `labels`."""

    labels: tuple[str, ...]
    probabilities: NDArray[np.float64]

    @property
    def predicted(self) -> list[str]:
        """The most probable class of each text."""
        return [self.labels[place] for place in self.probabilities.argmax(axis=1)]

    def against(self, truth: Sequence[str]) -> Classification:
        """These predictions measured. Raises DataError for a class that was not in training, ShapeError when lengths differ."""
        return classification(truth, self.predicted, labels=self.labels, probabilities=self.probabilities)


def majority(labels: Sequence[str], count: int) -> Predictions:
    """The most frequent class of the training rows for each of `count` texts (of several the first in alphabetical order).

    Probabilities are the shares of the classes. Raises DataError without a training row.

    >>> majority(["ham", "ham", "spam"], 2).predicted
    ['ham', 'ham']
    """
    if not labels:
        raise DataError("there is no training row", hint="check that the training split is not empty")
    counts = Counter(labels)
    names = tuple(sorted(counts))
    return Predictions(names, np.tile([counts[name] / len(labels) for name in names], (count, 1)))


def tfidf(
    texts: Sequence[str],
    labels: Sequence[str],
    test: Sequence[str],
    *,
    class_weights: Mapping[str, float] | Literal["balanced"] | None = None,
    strength: float = 10.0,
) -> Predictions:
    """Learn from `texts` with their `labels` and classify the texts of `test`; the same input gives the same result.

    Words and pairs of words count 1 + log(their number), weighted by how few texts hold them (TF-IDF), each text at length 1; over them
    a logistic regression with an L2 penalty of 1/`strength`. `class_weights` multiplies the loss of a class; "balanced" counts all
    classes alike.

    Raises DataError without two classes or without a word, ConfigError for the weight of an unknown class, ShapeError when lengths differ.

    Source: Salton and Buckley 1988, Term-weighting approaches in automatic text retrieval; scikit-learn's TfidfVectorizer.

    >>> tfidf(["win a prize", "see you at home"], ["spam", "ham"], ["a prize"]).predicted
    ['spam']
    """
    _check(texts, labels, class_weights, strength)
    if not len(test):
        return Predictions(tuple(sorted(set(labels))), np.zeros((0, len(set(labels)))))
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    weights = dict(class_weights) if isinstance(class_weights, Mapping) else class_weights
    regression = LogisticRegression(C=strength, class_weight=weights, max_iter=1000)  # lbfgs: nothing in it is drawn at random
    model = make_pipeline(words, regression)
    model.fit(list(texts), list(labels))
    return Predictions(tuple(map(str, regression.classes_)), np.asarray(model.predict_proba(list(test)), dtype=np.float64))


def _check(texts: Sequence[str], labels: Sequence[str], weights: Mapping[str, float] | str | None, strength: float) -> None:
    if len(texts) != len(labels):
        raise ShapeError(f"{len(texts)} training texts for {len(labels)} labels, expected one label per text")
    known = sorted(set(labels))
    if len(known) < 2:
        raise DataError(f"the training rows have {len(known)} classes: {known!r}, expected two or more", hint="check the column of labels")
    if not any(char.isalnum() or char == "_" for text in texts for char in text):
        raise DataError("no training text holds a word", hint="check the column of texts")
    if isinstance(weights, Mapping):
        for name, weight in weights.items():
            if name not in known:
                raise ConfigError(
                    f"class_weights names the class {name!r}, which no training row has", details=[f"known: {', '.join(known)}"]
                )
            if not weight >= 0:
                raise ConfigError(f"class_weights[{name!r}] = {weight!r}, expected a number of at least 0")
    if not strength > 0:
        raise ConfigError(f"strength = {strength!r}, expected a number above 0", hint="the default is 10")
