"""Calibration: is a model right as often as it is sure? Reliability, expected calibration error, Brier score, risk against coverage."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isinglass.core.errors import ConfigError, DataError, ShapeError, unknown
from isinglass.metrics.calibration_figures import coverage_figure, reliability_figure
from isinglass.show.figure import Figure
from isinglass.show.table import Table

Binning = Literal["width", "mass"]


@dataclass(frozen=True)
class Bin:
    """The answers whose confidence lies in (low, high]: their mean confidence and the share of them that is right, 0..1."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float

    @property
    def gap(self) -> float:
        """Confidence less accuracy: above 0 the model is surer than it should be."""
        return self.confidence - self.accuracy


@dataclass(frozen=True, eq=False)
class Calibration:
    """n answers: how sure the model was of each (`confidence`, 0..1) and whether it was right (`correct`). Made by `calibration`."""

    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())

    @property
    def mean_confidence(self) -> float:
        return float(self.confidence.mean())

    @property
    def brier(self) -> float:
        """Mean squared distance of confidence from 1 (right) or 0 (wrong); 0 is best, 0.25 is always saying 50 % (Brier 1950)."""
        return float(np.mean((self.confidence - self.correct) ** 2))

    def bins(self, count: int = 10, binning: Binning = "width") -> list[Bin]:
        """The bins that hold an answer: of equal width, or "mass": between quantiles, so that each holds about as many.

        ConfigError for another binning or a count below 1.
        """
        if count < 1:
            raise ConfigError(f"count = {count!r}, expected at least 1 bin")
        if binning not in ("width", "mass"):
            raise unknown("binning", binning, ("width", "mass"))
        edges = np.linspace(0.0, 1.0, count + 1)
        if binning == "mass":
            edges = np.percentile(self.confidence, 100 * edges)
        place = np.searchsorted(edges[1:-1], self.confidence)
        made = []
        for number in np.unique(place):
            inside = place == number
            sure, right = float(self.confidence[inside].mean()), float(self.correct[inside].mean())
            made.append(Bin(float(edges[number]), float(edges[number + 1]), int(inside.sum()), sure, right))
        return made

    def ece(self, count: int = 10, binning: Binning = "width") -> float:
        """Expected calibration error: |confidence - accuracy| of the bins, weighted by how many answers each holds.

        It depends on the bins, so they belong beside it. Source: Naeini et al. 2015; equal mass: Nguyen and O'Connor 2015.
        """
        return sum(one.count * abs(one.gap) for one in self.bins(count, binning)) / len(self.correct)

    @functools.cached_property
    def risk_coverage(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(coverage, risk): the error rate when only the surest k of n answers are given, for k = 1..n. Answers of equal confidence share
        their errors evenly, so that their order does not count.

        Source: El-Yaniv and Wiener 2010.
        """
        _, group, sizes = np.unique(-self.confidence, return_inverse=True, return_counts=True)
        errors = np.bincount(group, weights=~self.correct) / sizes
        ranks = np.arange(1, len(self.correct) + 1)
        return ranks / len(ranks), np.cumsum(errors[np.sort(group)]) / ranks

    @property
    def aurc(self) -> float:
        """The mean risk over all coverages; smaller is better (Geifman et al. 2019)."""
        return float(self.risk_coverage[1].mean())

    @property
    def best_aurc(self) -> float:
        """What ranking every right answer before every wrong one would reach at this accuracy."""
        return Calibration(self.correct.astype(np.float64), self.correct).aurc

    @property
    def auroc(self) -> float | None:
        """How often a right answer is surer than a wrong one; None where all are right or all are wrong."""
        return auroc(self.confidence, self.correct)

    def measures(self, count: int = 10) -> dict[str, Any]:
        """All of it by name, for tables and machines."""
        return {
            "answers": len(self.correct),
            "accuracy": self.accuracy,
            "mean confidence": self.mean_confidence,
            "ECE, equal width": self.ece(count),
            "ECE, equal mass": self.ece(count, "mass"),
            "Brier": self.brier,
            "AURC": self.aurc,
            "best AURC": self.best_aurc,
            "AUROC": self.auroc,
        }

    def table(self, count: int = 10, binning: Binning = "width", *, title: str = "Bins of the reliability diagram") -> Table:
        """A row per bin that holds an answer."""
        made = self.bins(count, binning)
        rows = [
            {"from": one.low, "to": one.high, "answers": one.count, "confidence": one.confidence, "accuracy": one.accuracy, "gap": one.gap}
            for one in made
        ]
        kind = "equal width" if binning == "width" else "equal mass"
        return Table(
            rows, title=title, units=dict.fromkeys(("confidence", "accuracy"), "ratio"),
            notes=[f"{count} bins of {kind}, {len(made)} of them hold an answer; gap: confidence less accuracy, above 0 is too sure"],
        )  # fmt: skip

    def figure(self, count: int = 10, *, title: str = "Reliability diagram", command: str | None = None) -> Figure:
        """Accuracy against confidence in bins of equal width, with how many answers each holds."""
        notes = [f"ECE {self.ece(count):.3f} with {count} bins of equal width, {self.ece(count, 'mass'):.3f} of equal mass"]
        return reliability_figure({"": self.bins(count)}, title=title, notes=notes, command=command)

    def coverage_figure(self, *, title: str = "Risk against coverage", command: str | None = None) -> Figure:
        """The error rate of the surest answers, beside the best ranking and one by chance."""
        best = Calibration(self.correct.astype(np.float64), self.correct)
        curves = {"by confidence": self.risk_coverage, "best ranking": best.risk_coverage}
        notes = [f"AURC {self.aurc:.3f}; the best ranking {self.best_aurc:.3f}, a ranking by chance {1 - self.accuracy:.3f}"]
        return coverage_figure(curves, 1 - self.accuracy, title=title, notes=notes, command=command)


def calibration(confidence: ArrayLike, correct: ArrayLike) -> Calibration:
    """Confidence (0..1) of each answer beside whether it was right.

    Raises DataError without an answer or for a confidence outside 0..1, ShapeError when lengths differ.

    >>> sure = calibration([0.9, 0.9, 0.6], [True, False, True])
    >>> round(sure.ece(), 4), round(sure.brier, 4)
    (0.4, 0.3267)
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
    if sure.ndim != 1 or sure.shape != right.shape:
        raise ShapeError(f"confidence has shape {sure.shape}, correct {right.shape}, expected one of each per answer")
    if not len(sure):
        raise DataError("there is no answer to measure: confidence and correct are empty")
    outside = sure[~((sure >= 0) & (sure <= 1 + 1e-9))]
    if len(outside):
        raise DataError(f"confidence {float(outside[0])!r} is no probability", hint="expected numbers from 0 to 1")
    return Calibration(np.minimum(sure, 1.0), right)


def brier_score(probabilities: ArrayLike, labels: Sequence[int] | NDArray[np.integer]) -> float:
    """Mean over rows of the squared distance between a distribution and the class that came true; 0 is best, 2 is worst.

    >>> round(brier_score([[0.8, 0.2]], [0]), 4)
    0.08
    """
    rows, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    _check_rows(rows, truth, "probabilities")
    return float(np.mean((rows**2).sum(axis=1) - 2 * rows[np.arange(len(rows)), truth] + 1))


def auroc(scores: ArrayLike, positive: ArrayLike) -> float | None:
    """The chance that a positive scores higher than a negative, ties counting half; None where either is missing.

    >>> auroc([0.9, 0.8, 0.1], [True, False, False])
    1.0
    """
    values, wanted = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    if values.shape != wanted.shape:
        raise ShapeError(f"scores have shape {values.shape}, positive {wanted.shape}, expected one of each per row")
    above, below = values[wanted], np.sort(values[~wanted])
    if not len(above) or not len(below):
        return None
    beaten = (np.searchsorted(below, above, "left") + np.searchsorted(below, above, "right")) / 2
    return float(beaten.mean() / len(below))


def _check_rows(rows: NDArray[np.floating], labels: NDArray[np.integer], name: str) -> None:
    if rows.ndim != 2 or rows.shape[:1] != labels.shape:
        raise ShapeError(f"{name} have shape {rows.shape}, labels {labels.shape}, expected a row per label")
    if not len(labels):
        raise DataError("there is no row to measure")
    if labels.min() < 0 or labels.max() >= rows.shape[1]:
        raise DataError(f"labels run from {labels.min()} to {labels.max()}, expected 0 to {rows.shape[1] - 1}")
