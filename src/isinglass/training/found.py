"""What a search found: its trials from the best to the worst, their curves, and the loss against each key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from isinglass.core.files import write_atomic
from isinglass.show.figure import Figure
from isinglass.show.marks.bars import bars
from isinglass.show.marks.scatter import scatter
from isinglass.show.table import Table
from isinglass.training.compare import NAMES, comparable, curves, flat, reached
from isinglass.training.range import Range
from isinglass.training.run import read_runs, settings

_DRAWN = 8  # curves in one figure: one for each colour
_SPREAD = 30.0  # values farther apart than this ratio stand on a log axis


@dataclass(frozen=True)
class Found:
    """The trials of a search. `table` has the best first, those that failed last; `figure` has the curves, `against` one figure per key."""

    folder: Path
    keys: Sequence[str]
    measure: str  # loss, or bits_per_byte where vocabularies differ
    table: Table
    figure: Figure
    against: Sequence[Figure] = field(repr=False)

    @property
    def best(self) -> dict[str, Any]:
        """The row of the best trial; its model is in `folder`/best of that trial."""
        return self.table.rows[0]

    @property
    def parts(self) -> list[Table | Figure]:
        """Everything there is to see."""
        return [self.table, self.figure, *self.against]


def found_in(folder: Path, trials: Sequence[Mapping[str, Any]], space: Mapping[str, Sequence[Any] | Range]) -> Found:
    """Read the runs of the trials, and write `results.csv` beside them."""
    ended = [trial for trial in trials if not trial["failed"]]
    runs = read_runs([folder / trial["trial"] for trial in ended])
    measure, notes = comparable(list(runs.values()), [flat(settings(folder / trial["trial"])) for trial in ended])
    rows = [_row(trial, reached(runs[trial["trial"]], measure), folder) for trial in ended]
    rows.sort(key=lambda row: math.inf if row[NAMES[measure]] is None else row[NAMES[measure]])
    failed = [_row(trial, {}, folder) | {"failed": trial["failed"]} for trial in trials if trial["failed"]]
    table = Table([*rows, *failed], title="Trials", units={"seconds": "seconds"}, notes=notes)
    write_atomic(folder / "results.csv", table.to_csv())
    drawn = {Path(row["folder"]).name: runs[Path(row["folder"]).name] for row in rows[:_DRAWN]}
    few = [f"the best {_DRAWN} of {len(rows)} trials"] if len(rows) > _DRAWN else []
    figure = curves(drawn, measure, title="Trials compared", notes=[*notes, *few])
    keys = list(space)
    varied = [key for key in keys if len({str(row[key]) for row in rows}) > 1]
    return Found(folder, keys, measure, table, figure, [_against(key, rows, NAMES[measure], space[key]) for key in varied])


def _row(trial: Mapping[str, Any], reached: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    figures = {name: value for name, value in reached.items() if name not in ("steps", "tokens")}
    return {**trial["settings"], **figures, "folder": str(folder / trial["trial"])}


def _against(key: str, rows: Sequence[Mapping[str, Any]], loss: str, values: Sequence[Any] | Range) -> Figure:
    """The loss of every trial against a number; of names the lowest loss with each."""
    rows = [row for row in rows if row[loss] is not None]
    given, title = [row[key] for row in rows], f"{loss.capitalize()} against {key}"
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in given):
        return scatter(given, [row[loss] for row in rows], title=title, x=key, y=loss, x_scale=_scale(given, values))
    lowest: dict[str, float] = {}
    for row in rows:  # the best first
        lowest.setdefault(str(row[key]), row[loss])
    return bars(list(lowest), list(lowest.values()), title=title, axis=f"lowest {loss}", notes=["the best trial with each value"])


def _scale(given: Sequence[float], values: Sequence[Any] | Range) -> Literal["linear", "log"]:
    if isinstance(values, Range):
        return values.scale
    return "log" if min(given) > 0 and max(given) / min(given) >= _SPREAD else "linear"
