"""What stays of a run: its rows of numbers and its samples, on disk while it goes on."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isinglass.core.errors import CheckpointError
from isinglass.core.files import write_atomic
from isinglass.training.events import Evaluated, Sampled, StepDone, TrainEvent

Row = dict[str, Any]
_SAMPLED_AT = re.compile(r"^## step ([\d,]+)$", re.MULTILINE)
_SAMPLE = re.compile(r"\*\*(.*?)\*\*(.*)", re.DOTALL)
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
        reached = self.rows[-1]["step"] if self.rows else 0
        if self._csv is not None and self._csv.exists() and reached < step:
            raise CheckpointError(
                f"{str(self._csv)!r} ends with step {reached:,}, and the checkpoint is of step {step:,}: the rows between are lost",
                hint="put the file back, or remove it to go on without the rows before",
            )
        if self._samples is not None and self._samples.exists():
            _shorten(self._samples, step)

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
        "tokens_per_second": event.tokens_per_second,
        **({} if event.mfu is None else {"mfu": event.mfu}),
    }


def _lines(columns: list[str], rows: list[Mapping[str, Any]] | list[Row]) -> str:
    buffer = io.StringIO()
    csv.DictWriter(buffer, columns, restval="", lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def read_metrics(path: Path) -> list[Row]:
    """The rows of a `metrics.csv`; empty cells are left out, and so is a last line that was cut short: one without a line end.

    Raises CheckpointError, with file and line, for what is no row of numbers.
    """
    if not path.is_file():
        return []
    try:
        whole = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as fault:
        raise _no_metrics(path, 1, str(fault)) from None
    reader = csv.DictReader(whole[: whole.rfind("\n") + 1].splitlines(keepends=True))
    rows = []
    for line in reader:
        if None in line.values() or None in line or "step" not in line:
            raise _no_metrics(path, reader.line_num, "a row of another length than the heading")
        try:
            row = {name: float(value) for name, value in line.items() if value}
            rows.append({**row, "step": int(row["step"])})
        except (ValueError, KeyError) as fault:
            raise _no_metrics(path, reader.line_num, str(fault)) from None
    return rows


def read_samples(path: Path) -> list[Sampled]:
    """The samples of a `samples.md`, as they were written."""
    if not path.is_file():
        return []
    pieces = _SAMPLED_AT.split(path.read_text(encoding="utf-8", errors="replace"))[1:]
    found = ((step, _SAMPLE.fullmatch(piece.strip("\n"))) for step, piece in zip(pieces[::2], pieces[1::2], strict=True))
    return [Sampled(int(step.replace(",", "")), match[1], match[2]) for step, match in found if match]


def _no_metrics(path: Path, line: int, fault: str) -> CheckpointError:
    return CheckpointError(f"{path}:{line}: no row of metrics: {fault}", hint="put the file back, or remove it to go on without its rows")


def _shorten(samples: Path, step: int) -> None:
    """Leave out the samples of later steps than `step`, which come again."""
    text = samples.read_text(encoding="utf-8", errors="replace")
    later = next((found.start() for found in _SAMPLED_AT.finditer(text) if int(found[1].replace(",", "")) > step), None)
    if later is not None:
        write_atomic(samples, text[:later])
