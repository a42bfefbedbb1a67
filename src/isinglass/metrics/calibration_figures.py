"""The two pictures of calibration: accuracy against confidence, and risk against coverage."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isinglass.show import sketch
from isinglass.show.figure import Figure
from isinglass.show.marks.chart import source, specification
from isinglass.show.marks.lines import lines
from isinglass.show.table import Table

if TYPE_CHECKING:
    from isinglass.metrics.calibration import Bin

_AXES = ("confidence", "share of right answers")
_PERFECT = "perfect calibration"
_POINTS = 200  # of a curve of coverage; the picture is not finer


def reliability_figure(bins: Mapping[str, Sequence[Bin]], *, title: str, notes: Sequence[str] = (), command: str | None = None) -> Figure:
    """A point per bin at (mean confidence, accuracy), as large as the bin is full and with its number of answers written at it.

    `bins` has a series per name (before and after a correction); the diagonal is perfect calibration.
    """
    rows: list[dict[str, Any]] = [
        {"series": name, "confidence": one.confidence, "accuracy": one.accuracy, "answers": one.count}
        for name, row in bins.items()
        for one in row
    ]
    perfect = [{"series": _PERFECT, "confidence": share, "accuracy": share} for share in (0.0, 1.0)]
    named = len(bins) > 1
    shown = [{key: value for key, value in row.items() if named or key != "series"} for row in rows]
    data = Table(shown, title=title, units={"confidence": "ratio", "accuracy": "ratio"} if rows else {}, command=command)
    curves = {name or "model": ([one.confidence for one in row], [one.accuracy for one in row]) for name, row in bins.items()}
    return Figure(
        specification(_chart(list(bins)), [*rows, *perfect], height=360), title=title, command=command, data=data,
        notes=("dashed: as often right as sure; below it the model is too sure; the number at a point is its answers", *notes),
        sketch=functools.partial(sketch.lines, {**curves, _PERFECT: ([0.0, 1.0], [0.0, 1.0])}, _AXES, ("linear", "linear")),
    )  # fmt: skip


def _chart(names: list[str]) -> Any:
    import altair as alt

    share = alt.Axis(format="%", tickCount=5, grid=True)
    everything = alt.Chart(source()).encode(
        x=alt.X("confidence:Q", title=_AXES[0], axis=share).scale(domain=[0, 1]),
        y=alt.Y("accuracy:Q", title=_AXES[1], axis=share).scale(domain=[0, 1]),
    )
    diagonal = everything.transform_filter(f"datum.series === '{_PERFECT}'").mark_line(strokeDash=[5, 4], opacity=0.6)
    tips = [alt.Tooltip("confidence:Q", format=".1%"), alt.Tooltip("accuracy:Q", format=".1%"), "answers:Q"]
    base = everything.transform_filter(f"datum.series !== '{_PERFECT}'").encode(
        tooltip=[*(["series:N"] if len(names) > 1 else []), *tips]  # type: ignore[arg-type]
    )
    line = base.mark_line(opacity=0.5)
    point = base.mark_point(filled=True, opacity=0.9).encode(size=alt.Size("answers:Q", legend=None).scale(range=[40, 500]))
    if len(names) > 1:
        color = alt.Color("series:N", title=None).scale(range="category", domain=names)  # type: ignore[arg-type]
        line, point = line.encode(color=color), point.encode(color=color, shape=alt.Shape("series:N", title=None).scale(domain=names))
    return alt.layer(diagonal, line, point, base.mark_text(align="left", dx=12, dy=10, fontSize=11).encode(text="answers:Q"))


def coverage_figure(
    curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    chance: float,
    *,
    title: str,
    notes: Sequence[str] = (),
    command: str | None = None,
) -> Figure:
    """Error rate among the surest answers against the share of questions that is answered; `chance` is a ranking that knows nothing."""
    drawn = {}
    for name, (coverage, risk) in curves.items():
        places = np.unique(np.linspace(0, len(coverage) - 1, min(_POINTS, len(coverage))).round().astype(int))
        drawn[name] = (coverage[places].tolist(), risk[places].tolist())
    return lines(
        drawn, title=title, x="coverage (share answered, the surest first)", y="risk (share of these that is wrong)",
        theory={"ranking by chance": ([0.0, 1.0], [chance, chance])}, notes=notes, command=command,
    )  # fmt: skip
