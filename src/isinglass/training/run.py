"""The result of training: the model, and how it came about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
from isinglass.training.accounting import MemoryUse
from isinglass.training.record import VALIDATION, Row, read_metrics


@dataclass(frozen=True)
class RunCost:
    """What a run made of its machine: means over its steps, evaluations not counted. `mfu` is the model FLOPs utilisation."""

    tokens_per_second: float
    mfu: float | None
    memory: MemoryUse

    @classmethod
    def of(cls, rows: Sequence[Row], memory: MemoryUse) -> RunCost:
        """From the rows of the steps."""
        steps = [row for row in rows if "seconds" in row]
        seconds = sum(row["seconds"] for row in steps) or math.inf
        counted = [row for row in steps if "mfu" in row]
        work = sum(row["mfu"] * row["seconds"] for row in counted)
        share = work / sum(row["seconds"] for row in counted) if counted else None
        return cls(sum(row["n_tokens"] for row in steps) / seconds, share, memory)

    def values(self) -> dict[str, float]:
        """For cards and JSON: bytes, shares and tokens per second."""
        share = {} if self.mfu is None else {"mfu": round(self.mfu, 4)}
        memory = {f"{name.replace(' ', '_')}_bytes": n for name, n in self.memory.rows().items()}
        return {"tokens_per_second": round(self.tokens_per_second, 1), **share, **memory}

    @property
    def table(self) -> Table:
        """The same to be read."""
        share = [] if self.mfu is None else [{"quantity": "model FLOPs utilisation", "value": self.mfu, "unit": "ratio"}]
        rows = [
            {"quantity": "tokens per second", "value": self.tokens_per_second, "unit": "count"},
            *share,
            *({"quantity": name, "value": n, "unit": "bytes"} for name, n in self.memory.rows().items()),
        ]
        notes = ["utilisation: of what a large matrix product reaches here", "growth: beyond what the process held before the first step"]
        return Table(rows, title="What a step took", notes=notes)


@dataclass(frozen=True)
class Run:
    """A trained model with its numbers. `lm` is the model after the last step; the best one, by validation loss, is in `folder`/best.

    `reason` says why it ended: steps (all done), patience (no better evaluation for too long), or stopped.
    `lm` has a LoRA merged into its weights; `drift` says what that changed. `cost` is speed and memory, predicted and measured.
    """

    lm: LM
    rows: Sequence[Row] = field(repr=False)
    reason: str
    best_step: int = 0
    best_loss: float | None = None
    folder: Path | None = None
    drift: Table | None = None
    cost: RunCost | None = None

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


AXES = {
    "step": "step",
    "tokens": "tokens",
    "seconds": "seconds of training",
    "loss": "loss (nats per target)",
    "bits_per_byte": "bits per byte",
}


def loss_curves(
    runs: Mapping[str, Sequence[Row]],
    *,
    title: str,
    smooth: int = 20,
    x: str = "step",
    y: str = "loss",
    notes: Sequence[str] = (),
    command: str | None = None,
) -> Figure:
    """Training loss (a mean over `smooth` steps) and validation loss of one run or of several; `x` and `y` are columns named in AXES."""
    series: dict[str, tuple[list[float], list[float]]] = {}
    for name, rows in runs.items():
        steps = [row for row in rows if y in row]
        window = max(1, min(smooth, len(steps) // 10))
        groups = [steps[at : at + window] for at in range(0, len(steps), window)]
        if groups:
            series[name] = ([group[-1][x] for group in groups], [sum(row[y] for row in group) / len(group) for group in groups])
        held = [row for row in rows if VALIDATION + y in row]
        if held:
            label = "validation" if len(runs) == 1 else f"{name}, validation"
            series[label] = ([row[x] for row in held], [row[VALIDATION + y] for row in held])
    return lines(series, title=title, x=AXES[x], y=AXES[y], notes=notes, command=command)


def read_runs(folders: Sequence[Path]) -> dict[str, list[Row]]:
    """The rows of saved runs by the names of their folders, or by their paths where names repeat.

    Raises CheckpointError for a folder that holds no run.
    """
    names, found = [folder.name for folder in folders], {}
    for folder, name in zip(folders, names, strict=True):
        rows = read_metrics(folder / "metrics.csv")
        if not rows:
            raise CheckpointError(f"{str(folder)!r} holds no run", details=["expected a metrics.csv with at least one step"])
        found[name if names.count(name) == 1 else str(folder)] = rows
    return found


def settings(folder: Path) -> dict[str, Any]:
    """What a run was made with (`run.toml`)."""
    return read_toml(folder / "run.toml")
