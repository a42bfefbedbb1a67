"""Runs beside each other: in what their settings differ, what they reached, and their curves over one pair of axes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from isinglass.core.errors import ConfigError
from isinglass.show.figure import Figure
from isinglass.show.table import Table
from isinglass.training.record import VALIDATION, Row
from isinglass.training.run import loss_curves, read_runs, settings

By = Literal["steps", "tokens", "seconds"]
_X = {"steps": "step", "tokens": "tokens", "seconds": "seconds"}
_BOTH = 3  # up to so many runs have their training curves in the figure too; of more the validation curves are enough to read
BITS = "bits_per_byte"
NAMES = {"loss": "validation loss", BITS: "validation bits per byte"}


@dataclass(frozen=True)
class Comparison:
    """Several runs: `table` has one row for each, `figure` their curves; `measure` is loss, or bits_per_byte where vocabularies differ."""

    table: Table
    figure: Figure
    measure: str


def compare(folders: Sequence[str | Path], *, by: By = "steps") -> Comparison:
    """Saved runs against steps, tokens read or seconds of training.

    Losses per token of differing vocabularies say nothing about one another: then the curves are bits per byte, and where a run records
    none a note says so. Raises ConfigError for less than one folder, CheckpointError for one that holds no run.

    >>> import isinglass as ig
    >>> for size in (16, 32):
    ...     given = dict(steps=2, out=f"runs/{size}", config={"context_length": 16, "batch_size": 4})
    ...     _ = ig.train(ig.create(f"tiny(d_model={size})"), ["to be or not to be " * 40], **given)
    >>> compare(["runs/16", "runs/32"]).table.rows[1]["model.d_model"]
    32
    """
    given = list(dict.fromkeys(map(Path, folders)))
    # begun and ended before its first checkpoint, as a diverged trial of a search may be
    paths = [folder for folder in given if (folder / "metrics.csv").is_file() or not (folder / "run.toml").is_file()]
    if not paths:
        raise ConfigError("no run to compare", hint="give the folders of runs that got as far as a checkpoint")
    runs = read_runs(paths)
    made = [flat(settings(folder)) for folder in paths]
    measure, notes = comparable(list(runs.values()), made)
    rows = [
        {"run": name, **different, **reached(rows, measure)}
        for (name, rows), different in zip(runs.items(), differing(made), strict=True)
    ]  # fmt: skip
    left_out = [f"left out, for it has no step on disk: {folder}" for folder in given if folder not in paths]
    table = Table(rows, title="Runs", units={"seconds": "seconds"}, notes=[*notes, *left_out])
    return Comparison(table, curves(runs, measure, title="Runs compared", by=by, notes=notes), measure)


def curves(runs: Mapping[str, list[Row]], measure: str, *, title: str, by: By = "steps", notes: Sequence[str] = ()) -> Figure:
    """Validation and training curves of a few runs, validation curves of more; of runs that hold nothing out the training curves."""
    counted = {name: _counted(rows) for name, rows in runs.items()}
    held = any(VALIDATION + measure in row for rows in runs.values() for row in rows)
    if held and len(runs) > _BOTH:
        counted = {name: [{key: value for key, value in row.items() if key != measure} for row in rows] for name, rows in counted.items()}
        notes = [*notes, "of the validation set"]
    return loss_curves(counted, title=title, x=_X[by], y=measure, notes=notes)


def comparable(runs: Sequence[Sequence[Row]], made: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """In what the runs may be compared, `loss` or `bits_per_byte`, and what has to be said about it. `made` are their flat settings."""
    notes = []
    kinds = {str(one.get("objective", "")).partition("(")[0] for one in made}
    if len(kinds) > 1:
        notes.append(f"objectives differ ({', '.join(sorted(kinds))}): their losses are not of one kind")
    if len({one.get("tokenizer") for one in made}) == 1:
        return "loss", notes
    if all(any(VALIDATION + BITS in row for row in rows) for rows in runs):
        return BITS, [*notes, "vocabularies differ: bits per byte can be compared, loss per token cannot"]
    return "loss", [*notes, "vocabularies differ, and not every run recorded bits per byte: a loss per token cannot be compared"]


def reached(rows: Sequence[Row], measure: str) -> dict[str, Any]:
    """What a run came to: its best evaluation, and what it took."""
    held = [row for row in rows if VALIDATION + measure in row]
    best = min(held, key=lambda row: row[VALIDATION + measure]) if held else {}
    tokens, seconds = sum(row.get("n_tokens", 0) for row in rows), sum(row.get("seconds", 0.0) for row in rows)
    steps = max(row["step"] for row in rows)
    return {
        NAMES[measure]: best.get(VALIDATION + measure),
        "best step": best.get("step"),
        "steps": steps,
        "tokens": int(tokens),
        "seconds": seconds,
        "tokens per second": tokens / seconds if seconds else None,
    }


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested settings by their dotted keys.

    >>> flat({"train": {"steps": 3}, "seed": 0})
    {'train.steps': 3, 'seed': 0}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {before + key: value}
    return found


def differing(made: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each run the settings in which not all are alike."""
    keys = dict.fromkeys(itertools.chain.from_iterable(made))
    # fingerprints say nothing to a reader; the size of a vocabulary is among the model's settings
    keys = [key for key in keys if any(one.get(key) != made[0].get(key) for one in made) and key not in ("tokenizer", "weights")]
    return [{key: one.get(key) for key in keys} for one in made]


def _counted(rows: Sequence[Row]) -> list[Row]:
    """The rows with the tokens read and the seconds trained so far in place of those of each step."""
    tokens = itertools.accumulate(row.get("n_tokens", 0) for row in rows)
    seconds = itertools.accumulate(row.get("seconds", 0.0) for row in rows)
    return [{**row, "tokens": read, "seconds": spent} for row, read, spent in zip(rows, tokens, seconds, strict=True)]
