"""What stays of a run: its rows of numbers and its samples, on disk while it goes on."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isinglass.core.files import write_atomic
from isinglass.training.events import Evaluated, Sampled, StepDone, TrainEvent

Row = dict[str, Any]
VALIDATION = "validation_"  # what is in front of a figure of the validation set


class Recorder:
    """Collects one row per step; with a folder, `metrics.csv` and `samples.md` grow with it.

    A run that is resumed at step N keeps the rows up to N and writes the later ones again.
    """

    def __init__(self, folder: Path | None, step: int = 0) -> None:
        self._csv = None if folder is None else folder / "metrics.csv"
        self._samples = None if folder is None else folder / "samples.md"
        self.rows: list[Row] = [] if self._csv is None or step == 0 else [row for row in read_metrics(self._csv) if row["step"] <= step]
        self._columns: list[str] = []
        self._written = 0  # rows that are in the file
        if self._samples is not None and step == 0 and self._samples.exists():
            self._samples.unlink()

    def see(self, event: TrainEvent) -> None:
        """Take up an event."""
        match event:
            case StepDone():
                self.rows.append(_row(event))
            case Evaluated(step, figures):
                self._of_step(step).update({VALIDATION + name: value for name, value in figures.items()})
            case Sampled(step, prompt, text) if self._samples is not None:
                self._samples.parent.mkdir(parents=True, exist_ok=True)
                with self._samples.open("a", encoding="utf-8") as file:
                    file.write(f"## step {step:,}\n\n**{prompt}**{text}\n\n")

    def flush(self) -> None:
        """Bring the file up to date."""
        if self._csv is None or not self.rows:
            return
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        if columns != self._columns or not self._csv.exists():
            write_atomic(self._csv, _lines(columns, [dict(zip(columns, columns, strict=True)), *self.rows]))
            self._columns = columns
        else:
            with self._csv.open("a", encoding="utf-8", newline="") as file:
                file.write(_lines(columns, self.rows[self._written :]))
        self._written = len(self.rows)

    def _of_step(self, step: int) -> Row:
        """The row of a step. One that is in the file already makes the file be written anew."""
        if not self.rows or self.rows[-1]["step"] != step:
            self.rows.append({"step": step})
        if self._written == len(self.rows):
            self._columns = []
        return self.rows[-1]


def _row(event: StepDone) -> Row:
    return {
        "step": event.step,
        "loss": event.loss,
        **{name: value for name, value in event.figures.items() if name != "loss"},
        "learning_rate": event.learning_rate,
        "gradient_norm": event.gradient_norm,
        "n_tokens": event.n_tokens,
        "seconds": event.seconds,
    }


def _lines(columns: list[str], rows: list[Mapping[str, Any]] | list[Row]) -> str:
    buffer = io.StringIO()
    csv.DictWriter(buffer, columns, restval="", lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def read_metrics(path: Path) -> list[Row]:
    """The rows of a `metrics.csv`; empty cells are left out, and so is a last line that was cut short."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = []
        for line in reader:
            if None in line.values() or None in line:
                continue
            row = {name: float(value) for name, value in line.items() if value}
            rows.append({**row, "step": int(row["step"])})
    return rows
