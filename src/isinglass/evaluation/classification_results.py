"""What a comparison of ways to fine-tune a classifier found, as a table with its baselines and with what is still missing."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from isinglass.show.figure import Figure
from isinglass.show.marks.bars import bars
from isinglass.show.table import Table


def cell(plan: str, epochs: float, seed: int) -> str:
    """The name of a run.

    >>> cell("all + lora", 2, 0)
    'all + lora, 2 epochs, seed 0'
    """
    return f"{plan}, {epochs:g} epochs, seed {seed}"


@dataclass(frozen=True)
class Measured:
    """One run. Accuracies and F1 (the mean over the classes) are 0..1; `peak_bytes` is the most that tensors of the first step hold at
    once, weights not counted. The baselines learned from the same texts and are measured on the same ones.
    """

    plan: str
    seed: int
    epochs: float
    precision: str
    n_trained: int
    first_block: int | None  # what enters it is computed once; None: nothing can be kept
    seconds: float  # of training, with computing what is kept
    peak_bytes: int
    validation_accuracy: float
    test_accuracy: float
    test_f1: float
    tfidf_accuracy: float
    tfidf_f1: float
    majority_accuracy: float
    majority_f1: float

    @property
    def name(self) -> str:
        return cell(self.plan, self.epochs, self.seed)


def summary(measured: Sequence[Measured], missing: Collection[str] = ()) -> Table:
    """One row per plan, medians over its seeds, and one for each baseline on the same splits; `missing` names runs that are not done."""
    rows: list[dict[str, Any]] = []
    for name, epochs in dict.fromkeys((one.plan, one.epochs) for one in measured):
        runs = [one for one in measured if (one.plan, one.epochs) == (name, epochs)]
        rows.append(
            {
                "what trains": name,
                "epochs": f"{epochs:g}",
                "parameters": runs[0].n_trained,
                "seconds": statistics.median(one.seconds for one in runs),
                "peak MB": statistics.median(one.peak_bytes for one in runs) / 1e6,
                **_spread([one.test_accuracy for one in runs], [one.test_f1 for one in runs]),
            }
        )
    splits = {one.seed: one for one in measured}.values()
    for name, start in (("TF-IDF", "tfidf"), ("majority", "majority")):
        found = [[float(getattr(one, f"{start}_{what}")) for one in splits] for what in ("accuracy", "f1")]
        rows.append({"what trains": name, **_spread(*found)})
    notes = [
        *(f"trained in {precision}" for precision in dict.fromkeys(one.precision for one in measured) if precision != "float32"),
        "medians over the seeds; each draws the split, the head and the order of the texts; F1: every class counts alike",
        "TF-IDF is under a logistic regression; majority: the label that most training texts have",
        "peak: tensors of the first step, weights not counted; seconds: training, with computing once what lower blocks make of the texts",
        *([f"missing: {'; '.join(missing)}"] if missing else []),
    ]
    units = {"parameters": "count", **dict.fromkeys(("test", "lowest", "F1"), "ratio")}
    return Table(rows, title="Ways to fine-tune a classifier", units=units, notes=notes)


def figure(measured: Sequence[Measured]) -> Figure:
    """Median test accuracy of each plan."""
    rows = summary(measured).rows
    names = [f"{row['what trains']}, {row['epochs']} epochs" if "epochs" in row else str(row["what trains"]) for row in rows]
    return bars(names, [row["test"] for row in rows], title="Test accuracy, median", axis="share")


def _spread(accuracies: Sequence[float], f1: Sequence[float]) -> dict[str, Any]:
    return {"test": statistics.median(accuracies), "lowest": min(accuracies), "F1": statistics.median(f1), "seeds": len(accuracies)}
