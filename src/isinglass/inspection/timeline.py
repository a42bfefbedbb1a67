"""Timeline: one view of a model across the checkpoints of its training, beside the loss."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isinglass.core.errors import ConfigError, EngineError, unknown
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt
from isinglass.inspection.checkpoints import RunFolder
from isinglass.inspection.timeline_views import Measure, Value, heads_view, likeliest, loss_view, predict_view
from isinglass.show import sketch
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.marks.heatmap import heatmap
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.training.record import VALIDATION, read_metrics

VIEWS = ("heads", "predict", "loss")
_LOSSES = {"loss": "training loss", f"{VALIDATION}loss": "validation loss"}


@dataclass(frozen=True)
class Moment:
    """One checkpoint: what was measured of its model, and the losses of its step (in nats per target, where the run noted them)."""

    step: int
    values: Mapping[str, Value]
    losses: Mapping[str, float]


@dataclass(frozen=True)
class Timeline(Finding):
    """`moments` in the order of steps; `losses` are (step, nats) of the whole run, also between checkpoints."""

    run: str
    view: str
    moments: tuple[Moment, ...]
    losses: Mapping[str, Sequence[tuple[int, float]]]
    command: str | None = None

    @property
    def curves(self) -> dict[str, tuple[list[int], list[float]]]:
        """The measured numbers by name, over steps."""
        numbers = {name: None for moment in self.moments for name, value in moment.values.items() if isinstance(value, int | float)}
        return {name: _curve([(moment.step, moment.values.get(name)) for moment in self.moments]) for name in numbers}

    @property
    def figure(self) -> Figure:
        """Losses on the left axis, what was measured on the right one."""
        losses = {_LOSSES[name]: ([step for step, _ in rows], [value for _, value in rows]) for name, rows in self.losses.items() if rows}
        title = f"{self.run}: {', '.join(self.curves) or 'loss'} while it trained"
        rows = [
            {"series": name, "side": side, "step": step, "value": value}
            for side, series in (("loss", losses), ("view", self.curves))
            for name, (steps, values) in series.items()
            for step, value in zip(steps, values, strict=True)
        ]
        notes = [f"{len(self.moments)} checkpoints, steps {self.moments[0].step:,} to {self.moments[-1].step:,}"]
        if self.curves and losses:
            notes.append("losses (dashed) belong to the left axis, all else to the right one")
        drawn = {**losses, **self.curves}
        return Figure(
            _specification(rows, list(losses), list(self.curves)), title=title, command=self.command, notes=notes,
            data=Table([{name: row[name] for name in ("series", "step", "value")} for row in rows], title=title, command=self.command),
            sketch=functools.partial(_sketch, losses, self.curves) if drawn else None,
        )  # fmt: skip

    @property
    def maps(self) -> list[Figure]:
        """Values that have a number for each layer, as layers over steps."""
        names = {name: None for moment in self.moments for name, value in moment.values.items() if _is_profile(value)}
        made = []
        for name in names:
            profiles: list[Sequence[float]] = [moment.values[name] for moment in self.moments]  # type: ignore[misc]
            layers = [str(layer) for layer in range(len(profiles[0]))]
            values = [[profile[layer] for profile in profiles] for layer in range(len(layers))]
            steps = [f"{moment.step:,}" for moment in self.moments]
            made.append(
                heatmap(values, title=f"{name}, step by step", rows=layers, columns=steps, row_axis="layer", column_axis="step", value=name,
                        limits=(0.0, 1.0), command=self.command)
            )  # fmt: skip
        return made

    @property
    def table(self) -> Table:
        """A row per checkpoint."""
        rows = []
        for moment in self.moments:
            losses = {_LOSSES[name]: moment.losses.get(name) for name in _LOSSES}
            rows.append({"step": moment.step, **losses, **{name: value for name, value in moment.values.items() if not _is_profile(value)}})
        return Table(rows, title=f"The checkpoints of {self.run}", command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.figure, *self.maps, self.table]

    @property
    def data(self) -> dict[str, Any]:
        moments = [{"step": one.step, "losses": dict(one.losses), "values": dict(one.values)} for one in self.moments]
        losses = {_LOSSES[name]: [{"step": step, "nats": value} for step, value in rows] for name, rows in self.losses.items()}
        return {"run": self.run, "view": self.view, "checkpoints": moments, "losses": losses}


def moments(folder: str | Path, measure: Measure, *, base: LM | None = None) -> Iterator[Moment]:
    """The checkpoints of a run, measured one after another: what a page shows while it goes on.

    `measure` is any function of a model that gives named numbers, words, or a number for each layer. Raises CheckpointError for a folder
    without a run or checkpoints, or one whose frozen weights only `base`, the model that it began with, has.
    """
    run = RunFolder.of(folder, base)
    rows = {row["step"]: row for row in read_metrics(run.folder / "metrics.csv")}
    for one in run.checkpoints:
        noted = rows.get(one.step, {})
        yield Moment(one.step, measure(one.lm()), {name: noted[name] for name in _LOSSES if name in noted})


def timeline(
    folder: str | Path,
    view: str | Measure = "heads",
    *,
    prompt: Prompt | None = None,
    answer: str | None = None,
    base: LM | None = None,
    command: str | None = None,
) -> Timeline:
    """All checkpoints of a run in one picture, beside the loss. Training keeps them all with `config={"keep": "all"}`.

    `view` is "heads" (scores of the best heads), "predict" (the `answer` after a `prompt`; None: what the last checkpoint expects), "loss",
    or any measure (`moments`). Raises CheckpointError (see `moments`), ConfigError for an unknown view or one that lacks its prompt.
    """
    name, measure = (view, chosen(view, folder, prompt, answer, base)) if isinstance(view, str) else ("measure", view)
    return collected(folder, name, moments(folder, measure, base=base), command=command)


def chosen(view: str, folder: str | Path, prompt: Prompt | None, answer: str | None, base: LM | None) -> Measure:
    """The measure of a named view."""
    if view not in VIEWS:
        raise unknown("view", view, VIEWS)
    if view != "predict":
        return heads_view() if view == "heads" else loss_view()
    if prompt is None:
        raise ConfigError("the view 'predict' needs a prompt", hint='--prompt "The capital of France is"')
    if answer is None:
        answer = likeliest(RunFolder.of(folder, base).checkpoints[-1].lm(), prompt)
    return predict_view(prompt, answer)


def collected(folder: str | Path, view: str, found: Iterable[Moment], *, command: str | None = None) -> Timeline:
    """The timeline of moments that come one by one. EngineError when none came."""
    seen = tuple(found)
    if not seen:
        raise EngineError("a timeline needs at least one checkpoint")
    rows = read_metrics(Path(folder) / "metrics.csv")
    losses = {name: [(row["step"], row[name]) for row in rows if name in row] for name in _LOSSES}
    return Timeline(Path(folder).resolve().name, view, seen, losses, command)


def _is_profile(value: Value | None) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _curve(points: Sequence[tuple[int, Any]]) -> tuple[list[int], list[float]]:
    kept = [(step, float(value)) for step, value in points if isinstance(value, int | float)]
    return [step for step, _ in kept], [value for _, value in kept]


def _sketch(losses: Any, curves: Any, width: int) -> Any:
    """Two pairs of axes below one another: a terminal has one scale for each."""
    from rich.text import Text

    drawn = [
        sketch.lines(series, ("step", axis), ("linear", "linear"), width)
        for series, axis in ((curves, "score"), (losses, "loss (nats per target)"))
        if series
    ]
    return Text("\n").join(drawn)


def _specification(rows: list[dict[str, Any]], losses: list[str], curves: list[str]) -> dict[str, Any]:
    """Two layers with a y axis each; dashes and point shapes tell series apart as well as colours do."""
    names = [*losses, *curves]
    step = {"field": "step", "type": "quantitative", "title": "step", "axis": {"grid": False, "tickCount": 6}, "scale": {"nice": False}}
    legend = {"columns": 2, "labelLimit": 0}
    color = {"field": "series", "type": "nominal", "title": None, "scale": {"domain": names, "range": "category"}, "legend": legend}
    tips: list[dict[str, Any]] = [{"field": name, "type": "quantitative", "format": ".5~g"} for name in ("step", "value")]
    tips.insert(0, {"field": "series", "type": "nominal"})

    def layer(side: str, title: str, orient: str, mark: dict[str, Any], scale: dict[str, Any]) -> dict[str, Any]:
        y = {
            "field": "value",
            "type": "quantitative",
            "title": title,
            "axis": {"orient": orient, "grid": side == "loss", "tickCount": 6},
            "scale": scale,
        }
        encoding = {"x": step, "y": y, "color": color, "tooltip": tips}
        shape = {"field": "series", "type": "nominal", "title": None, "scale": {"domain": names}, "legend": legend}
        points = (
            [] if side == "loss" else [{"mark": {"type": "point", "filled": True, "size": 40}, "encoding": {**encoding, "shape": shape}}]
        )
        return {"transform": [{"filter": f"datum.side === '{side}'"}], "layer": [{"mark": mark, "encoding": encoding}, *points]}

    layers = []
    if losses:
        dashes = {"type": "line", "strokeDash": [5, 4]} if curves else {"type": "line"}
        layers.append(layer("loss", "loss (nats per target)", "left", dashes, {"zero": False}))
    if curves:
        title = curves[0] if len(curves) == 1 else "score (0 to 1)"
        bounded = all(0 <= row["value"] <= 1 for row in rows if row["side"] == "view")
        layers.append(
            layer("view", title if bounded else "measure", "right", {"type": "line"}, {"domain": [0, 1]} if bounded else {"zero": False})
        )
    return {"data": {"values": rows}, "height": 300, "layer": layers, "resolve": {"scale": {"y": "independent"}}}
