"""How well a classifier does: accuracy, precision, recall, F1, the confusion matrix, and its errors, the most confident first."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isinglass.core.errors import DataError, ShapeError, unknown
from isinglass.show.figure import Figure
from isinglass.show.marks.heatmap import heatmap
from isinglass.show.table import Table

Averaging = Literal["macro", "weighted"]


@dataclass(frozen=True, eq=False)
class Classification:
    """True and predicted classes of n rows, and all that follows from them.

    `labels` names the classes; `truth` and `predicted` are indices into it, `probabilities [n, classes]` (or None) what the classifier
    gave. Per-class measures are arrays in the order of `labels`; where one is 0/0 (a class that is never predicted has no precision) it is
    0, as in scikit-learn's default.
    """

    labels: tuple[Any, ...]
    truth: NDArray[np.intp]
    predicted: NDArray[np.intp]
    probabilities: NDArray[np.float64] | None = None

    @functools.cached_property
    def confusion(self) -> NDArray[np.int64]:
        """Counts `[true class, predicted class]`."""
        counts = np.zeros((len(self.labels), len(self.labels)), np.int64)
        np.add.at(counts, (self.truth, self.predicted), 1)
        return counts

    @property
    def support(self) -> NDArray[np.int64]:
        """How many rows are of each class."""
        return self.confusion.sum(axis=1)

    @property
    def accuracy(self) -> float:
        """The share of rows that are predicted right, 0..1."""
        return float(np.mean(self.truth == self.predicted))

    @property
    def majority_accuracy(self) -> float:
        """What answering the most frequent class for every row would reach: the least that a classifier has to beat."""
        return float(self.support.max() / len(self.truth))

    @property
    def precision(self) -> NDArray[np.float64]:
        """Of the rows predicted as a class, the share that is of it."""
        return _ratio(np.diagonal(self.confusion), self.confusion.sum(axis=0))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Of the rows of a class, the share that is predicted as it."""
        return _ratio(np.diagonal(self.confusion), self.support)

    @property
    def f1(self) -> NDArray[np.float64]:
        """The harmonic mean of precision and recall."""
        return _ratio(2 * np.diagonal(self.confusion), self.confusion.sum(axis=0) + self.support)

    def average(self, averaging: Averaging) -> dict[str, float]:
        """Precision, recall and F1 over all classes: "macro" counts every class alike, "weighted" by its support."""
        weights = self.support if averaging == "weighted" else np.ones(len(self.labels))
        per_class = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {name: float(np.average(values, weights=weights)) for name, values in per_class.items()}

    def table(self, *, title: str = "Precision and recall of each class", command: str | None = None) -> Table:
        """One row per class, then the macro and the weighted average; accuracy and the majority's stand in the notes."""
        measures = ("precision", "recall", "f1")
        rows = [
            {"class": str(label), **{name: float(getattr(self, name)[place]) for name in measures}, "support": int(self.support[place])}
            for place, label in enumerate(self.labels)
        ]
        total = {"support": len(self.truth)}
        averages: list[dict[str, Any]] = [
            {"class": "macro average", **self.average("macro"), **total},
            {"class": "weighted average", **self.average("weighted"), **total},
        ]
        right = int(np.sum(self.truth == self.predicted))
        return Table(
            [*rows, *averages],
            title=title,
            units=dict.fromkeys(measures, "ratio"),
            notes=(
                f"accuracy: {100 * self.accuracy:.2f} % ({right:,} of {len(self.truth):,})",
                f"always answering the most frequent class: {100 * self.majority_accuracy:.2f} %",
            ),
            command=command,
        )

    def counts(self, *, title: str = "Confusion matrix", command: str | None = None) -> Table:
        """The confusion matrix in numbers: one row per true class, one column per predicted class."""
        rows = [
            {"true class": str(label), **{f"predicted {name}": int(count) for name, count in zip(self.labels, row, strict=True)}}
            for label, row in zip(self.labels, self.confusion, strict=True)
        ]
        return Table(rows, title=title, command=command)

    def figure(self, *, title: str = "Confusion matrix", command: str | None = None) -> Figure:
        """The confusion matrix, each row coloured by the share of its class, so that rare classes can be seen beside frequent ones."""
        names = [str(label) for label in self.labels]
        counts = ", ".join(f"{name} {count:,}" for name, count in zip(names, self.support, strict=True))
        shares = _ratio(self.confusion, self.support[:, None])
        return heatmap(
            shares, title=title, rows=names, columns=names, row_axis="true class", column_axis="predicted class",
            value="share of the class", limits=(0.0, 1.0), command=command, notes=(f"rows: {counts}",) if len(names) <= 12 else (),
        )  # fmt: skip

    def errors(self, texts: Sequence[str] | None = None, *, title: str = "Errors", command: str | None = None) -> Table:
        """The rows that are predicted wrong, counted from 0; the most confident first when there are probabilities.

        Raises ShapeError when there is not one text per row.
        """
        if texts is not None and len(texts) != len(self.truth):
            raise ShapeError(f"errors {title!r}: {len(texts)} texts for {len(self.truth)} rows", hint="give the texts that were classified")
        wrong = np.flatnonzero(self.truth != self.predicted)
        sure = None if self.probabilities is None else self.probabilities[np.arange(len(self.truth)), self.predicted]
        if sure is not None:
            wrong = wrong[np.argsort(-sure[wrong], kind="stable")]
        rows = [
            {
                "row": int(row),
                "true": str(self.labels[self.truth[row]]),
                "predicted": str(self.labels[self.predicted[row]]),
                **({} if sure is None else {"confidence": float(sure[row])}),
                **({} if texts is None else {"text": texts[int(row)]}),
            }
            for row in wrong
        ]
        order = "" if sure is None else ", the most confident first"
        return Table(
            rows, title=title, units={} if sure is None else {"confidence": "ratio"}, command=command,
            columns=["row", "true", "predicted", *([] if sure is None else ["confidence"]), *([] if texts is None else ["text"])],
            notes=(f"{len(wrong):,} of {len(self.truth):,} rows are wrong{order}",),
        )  # fmt: skip


def classification(
    truth: Sequence[Hashable],
    predicted: Sequence[Hashable],
    *,
    labels: Sequence[Hashable] | None = None,
    probabilities: ArrayLike | None = None,
) -> Classification:
    """Compare the true class of each row with the predicted one. `labels` names the classes in order (None: those that occur, sorted);
    `probabilities [n, classes]` says how sure the classifier was of each.

    Raises DataError when there is no row or a class is not among `labels`, ShapeError when lengths differ.

    >>> result = classification(["ham", "spam", "ham", "ham"], ["ham", "spam", "spam", "ham"])
    >>> result.accuracy, result.recall.tolist()
    (0.75, [0.6666666666666666, 1.0])
    """
    if len(truth) != len(predicted):
        raise ShapeError(f"{len(truth)} true classes for {len(predicted)} predicted ones, expected one of each per row")
    if not len(truth):
        raise DataError("there is no row to measure: truth and predicted are empty", hint="check that the test split is not empty")
    names = tuple(_sorted({*truth, *predicted}) if labels is None else labels)
    index = {label: place for place, label in enumerate(names)}
    if len(index) != len(names):
        raise DataError(f"labels = {list(names)!r}: a class stands there twice", hint="name each class once")
    rows = None if probabilities is None else np.asarray(probabilities, dtype=np.float64)
    if rows is not None and rows.shape != (len(truth), len(names)):
        raise ShapeError(f"probabilities have shape {rows.shape}, expected {(len(truth), len(names))} (rows, classes)")
    return Classification(names, _indices(truth, index, "truth"), _indices(predicted, index, "predicted"), rows)


def _sorted(labels: set[Any]) -> list[Any]:
    try:
        return sorted(labels)
    except TypeError:  # classes of several types
        return sorted(labels, key=lambda label: (type(label).__name__, str(label)))


def _indices(values: Sequence[Hashable], index: Mapping[Any, int], name: str) -> NDArray[np.intp]:
    for row, value in enumerate(values):
        if value not in index:
            raise unknown("class", str(value), map(str, index), where=f"{name}[{row}]", error=DataError)
    return np.array([index[value] for value in values], dtype=np.intp)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """part / whole, and 0 where both are 0."""
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole > 0)
