"""The result of training: the model, and how it came about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from isinglass.core.config import read_toml
from isinglass.core.errors import CheckpointError
from isinglass.generation.lm import LM
from isinglass.show.figure import Figure
from isinglass.show.marks.lines import lines
from isinglass.show.table import Table
from isinglass.training.record import VALIDATION, Row, read_metrics


@dataclass(frozen=True)
class Run:
    """A trained model with its numbers. `lm` is the model after the last step; the best one, by validation loss, is in `folder`/best.

    `reason` says why it ended: steps (all done), patience (no better evaluation for too long), or stopped.
    `lm` has a LoRA merged into its weights; `drift` says what that changed.
    """

    lm: LM
    rows: Sequence[Row] = field(repr=False)
    reason: str
    best_step: int = 0
    best_loss: float | None = None
    folder: Path | None = None
    drift: Table | None = None

    @property
    def evaluations(self) -> list[Row]:
        """The rows of steps at which the validation set was looked at."""
        return [row for row in self.rows if VALIDATION + "loss" in row]

    @cached_property
    def metrics(self) -> Table:
        """One row per step."""
        return Table(self.rows, title="Steps")

    @property
    def figure(self) -> Figure:
        """Losses against steps."""
        return loss_curves({"training": self.rows}, title="Loss while training")

    @property
    def summary(self) -> Table:
        """The evaluations as a table."""
        names = list(dict.fromkeys(name for row in self.evaluations for name in row if name.startswith(VALIDATION)))
        rows = [
            {"step": row["step"], "training loss": row.get("loss"), **{n.replace("_", " "): row.get(n) for n in names}}
            for row in self.evaluations
        ]
        return Table(rows, title="Evaluations")


def loss_curves(runs: dict[str, Sequence[Row]], *, title: str, smooth: int = 20) -> Figure:
    """Training loss (a mean over `smooth` steps) and validation loss of one run or of several."""
    series: dict[str, tuple[list[float], list[float]]] = {}
    for name, rows in runs.items():
        steps = [row for row in rows if "loss" in row]
        window = max(1, min(smooth, len(steps) // 10))
        groups = [steps[at : at + window] for at in range(0, len(steps), window)]
        if groups:
            series[name] = ([group[-1]["step"] for group in groups], [sum(row["loss"] for row in group) / len(group) for group in groups])
        held = [row for row in rows if VALIDATION + "loss" in row]
        if held:
            label = "validation" if len(runs) == 1 else f"{name}, validation"
            series[label] = ([row["step"] for row in held], [row[VALIDATION + "loss"] for row in held])
    return lines(series, title=title, x="step", y="loss (nats per target)")


def read_runs(folders: Sequence[Path]) -> dict[str, list[Row]]:
    """The rows of saved runs by the names of their folders. Raises CheckpointError for a folder that holds no run."""
    found = {}
    for folder in folders:
        rows = read_metrics(folder / "metrics.csv")
        if not rows:
            raise CheckpointError(f"{str(folder)!r} holds no run", details=["expected a metrics.csv with at least one step"])
        found[folder.name] = rows
    return found


def settings(folder: Path) -> dict[str, Any]:
    """What a run was made with (`run.toml`)."""
    return read_toml(folder / "run.toml")
