"""A small classifier that tells simple questions from hard ones: how many it routes, how many of those wrongly, and what it costs.

It is judged on intents that it has not seen (cross-validation by intent): wordings of one intent are never on both sides.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import ConfigError
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.studies.support.questions import Query, texts

_FOLDS = 8


@dataclass(frozen=True)
class RoutingStudy(Finding):
    """Chances of being simple, by the classifier and by a rule that looks at the length alone; `ms` is the classifier's time a question."""

    simple: NDArray[np.bool_]
    chances: NDArray[np.float64]
    shortness: NDArray[np.float64]
    most_wrong: float
    ms: float
    to: str
    command: str | None = None

    @property
    def threshold(self) -> float:
        """From this chance on a question is routed."""
        return threshold(self.chances, self.simple, self.most_wrong)

    @property
    def share(self) -> float:
        """Share of the questions that is routed."""
        return float(np.mean(self.chances >= self.threshold))

    @property
    def wrong(self) -> float:
        """Share of what is routed that is hard."""
        return wrong(self.chances, self.simple, self.threshold)

    @property
    def saving(self) -> str:
        """What a workload's file gets from this."""
        return f"routing(share={self.share:.2f}, to='{self.to}', wrong={self.wrong:.3f})"

    @property
    def table(self) -> Table:
        """The classifier, the length alone, and answering `simple` always."""
        always = np.zeros(len(self.simple))
        ways = {"classifier": self.chances, "length alone": self.shortness, "always simple": always}
        rows = []
        for name, scores in ways.items():
            at = threshold(scores, self.simple, self.most_wrong) if name != "always simple" else 0.0
            routed = scores >= at
            rows.append(
                {
                    "way": name, "routed": float(np.mean(routed)), "wrong": wrong(scores, self.simple, at),
                    "accuracy": float(np.mean(routed == self.simple)),
                }
            )  # fmt: skip
        count, simple = len(self.simple), f"{np.mean(self.simple):.0%}"
        notes = [
            f"{count} questions, {simple} of them simple; each is judged by a classifier that saw no wording of its intent",
            f"wrong: share of the routed that is hard; the threshold {self.threshold:.2f} was chosen on these chances",
            f"the classifier takes {self.ms:.2f} ms a question here",
            f"for a workload: {self.saving}",
        ]
        units = dict.fromkeys(["routed", "wrong", "accuracy"], "ratio")
        return Table(rows, title="Which questions a small model gets", units=units, notes=notes, command=self.command)

    @property
    def figure(self) -> Figure:
        """Share routed against the share of it that is hard, over all thresholds."""
        from isinglass.show.marks.lines import lines

        series = {}
        for name, scores in (("classifier", self.chances), ("length alone", self.shortness)):
            at = np.unique(scores)
            series[name] = ([float(np.mean(scores >= one)) for one in at], [wrong(scores, self.simple, one) for one in at])
        return lines(series, title="Routed, and wrongly so", x="share routed", y="share of it that is hard", command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table, self.figure]

    @property
    def data(self) -> Any:
        return {"rows": self.table.rows, "threshold": self.threshold, "ms": self.ms, "saving": self.saving}


def wrong(scores: NDArray[np.float64], simple: NDArray[np.bool_], at: float) -> float:
    """Share of what is routed from a score on that is hard."""
    routed = scores >= at
    return float(np.mean(~simple[routed])) if routed.any() else 0.0


def threshold(scores: NDArray[np.float64], simple: NDArray[np.bool_], most: float) -> float:
    """The lowest score from which on at most the share `most` is hard; above all scores where there is none.

    >>> threshold(np.array([0.9, 0.8, 0.3]), np.array([True, False, True]), 0.1)
    0.9
    """
    good = [float(at) for at in np.unique(scores) if wrong(scores, simple, float(at)) <= most]
    return min(good, default=float(np.nextafter(scores.max(), np.inf)))


def routing_study(queries: Sequence[Query], *, to: str, most_wrong: float = 0.05, command: str | None = None) -> RoutingStudy:
    """Train and judge the classifier (pieces of letters and words, logistic regression) on labelled questions, by intent.

    `to` is the model that gets the simple ones; `most_wrong` (0..1) the share of them that may be hard. Raises ConfigError.
    """
    from sklearn.model_selection import GroupKFold, cross_val_predict

    known = [query.intent for query in queries if query.intent is not None]
    if len(known) != len(queries) or len({intent.difficulty for intent in known}) < 2:
        raise ConfigError("routing needs labelled questions, simple and hard ones")
    if not 0 <= most_wrong <= 1:
        raise ConfigError(f"most_wrong = {most_wrong!r}, expected 0 to 1")
    asked = texts(queries)
    simple = np.array([intent.difficulty == "simple" for intent in known])
    groups = np.array([intent.name for intent in known])
    folds = GroupKFold(n_splits=_FOLDS, shuffle=True, random_state=0)
    chances = np.asarray(cross_val_predict(classifier(), asked, simple, groups=groups, cv=folds, method="predict_proba"))[:, 1]
    fitted = classifier().fit(asked, simple)
    begun = time.perf_counter()
    for text in asked:
        fitted.predict_proba([text])
    ms = (time.perf_counter() - begun) / len(asked) * 1000
    shortness = 1 / np.array([len(text.split()) for text in asked], float)
    return RoutingStudy(simple, chances, shortness, most_wrong, ms, to, command)


def classifier() -> Any:
    """Unfitted: words and pairs of words with their number, and logistic regression with balanced classes."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    length = make_pipeline(FunctionTransformer(_lengths), StandardScaler())
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    return make_pipeline(make_union(words, length), LogisticRegression(class_weight="balanced", max_iter=1000))


def _lengths(asked: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[len(text.split()), text.count(",") + text.count(";")] for text in asked], float)
