"""Curves: several series over one pair of axes, with the theory dashed beside the measurement."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from isinglass.core.errors import ShapeError
from isinglass.show import sketch
from isinglass.show.figure import Figure
from isinglass.show.marks.chart import source, specification
from isinglass.show.marks.thin import thinned
from isinglass.show.table import Table

Curves = Mapping[str, tuple[Sequence[float], Sequence[float]]]  # name -> (x, y)
Scale = Literal["linear", "log"]
_CROWDED = 40  # points per series from which on the line stands alone; the points are still there to be pointed at
_MARKED = 8  # points of each crowded series that show its shape, so that it is not told from others by colour alone
_SHAPES = ["circle", "square", "triangle-up", "cross", "diamond", "triangle-right", "triangle-down"]  # 7 beside 8 colours: 56 pairs
_LEGEND = 80  # characters of names, with room for their marks, that fit into the width of a picture
_FEW = 10  # so many distinct values may each have their tick


def lines(
    series: Curves,
    *,
    title: str,
    x: str,
    y: str,
    theory: Curves | None = None,
    x_scale: Scale = "linear",
    y_scale: Scale = "linear",
    command: str | None = None,
    notes: Sequence[str] = (),
) -> Figure:
    """Measured `series` as lines with points, `theory` dashed without points. `x` and `y` name the axes with their units.

    Values that are not positive are left out on a log axis. Of a series of more than 640 points the lowest and the highest of each narrow
    stretch are drawn (a note says so); the data holds all. Raises ShapeError when x and y of a series differ in length.

    >>> lines({"run 1": ([1, 2, 3], [2.1, 1.6, 1.4])}, title="Loss", x="step", y="loss (nats)").data.rows[0]["loss (nats)"]
    2.1
    """
    curves = {**series, **(theory or {})}
    for name, (xs, ys) in curves.items():
        if len(xs) != len(ys):
            raise ShapeError(f"lines {title!r}: series {name!r} has {len(xs)} x values and {len(ys)} y values")
    data = Table(
        [
            {"series": name, "kind": kind, x: px, y: py}
            for name, (xs, ys) in curves.items()
            for kind in ["measured" if name in series else "theory"]
            for px, py in _seen(xs, ys, (x_scale, y_scale))
        ],
        title=title, command=command,
    )  # fmt: skip
    drawn = {name: _drawn(xs, ys, x_scale) for name, (xs, ys) in curves.items()}
    rows = [
        {"series": name, "kind": "measured" if name in series else "theory", "x": px, "y": py}
        for name, (xs, ys) in drawn.items()
        for px, py in _seen(xs, ys, (x_scale, y_scale))
    ]
    total, few = sum(len(xs) for xs, _ in curves.values()), sum(len(xs) for xs, _ in drawn.values())
    thin = [f"drawn: the lowest and the highest of each stretch, {few:,} of {total:,} points"] if few < total else []
    return Figure(
        specification(_chart(rows, (x, y), (x_scale, y_scale), list(curves)), rows, height=300),
        title=title, command=command, data=data, notes=(*notes, *(["dashed: theory"] if theory else []), *thin),
        sketch=functools.partial(sketch.lines, drawn, (x, y), (x_scale, y_scale)),
    )  # fmt: skip


def _seen(xs: Sequence[float], ys: Sequence[float], scales: tuple[Scale, Scale]) -> Iterator[tuple[float, float]]:
    """The points that the axes can show."""
    for px, py in zip(xs, ys, strict=True):
        if (scales[0] == "linear" or px > 0) and (scales[1] == "linear" or py > 0):
            yield float(px), float(py)


def _drawn(xs: Sequence[float], ys: Sequence[float], scale: Scale) -> tuple[Sequence[float], Sequence[float]]:
    places = thinned(xs, ys, scale=scale)
    return [xs[place] for place in places], [ys[place] for place in places]


def _marked(rows: list[dict[str, Any]], names: list[str]) -> None:
    """Say of each row whether its point is shown: all, or in a crowd a few of each series, at other places than its neighbours'."""
    crowded = len(rows) > _CROWDED * len(names)
    for number, name in enumerate(names):
        own = [row for row in rows if row["series"] == name]
        step = max(1, len(own) // _MARKED) if crowded else 1
        start = step * (2 * (number % 4) + 1) // 8 if crowded else 0
        for place, row in enumerate(own):
            row["point"] = place % step == start and (len(names) > 1 or not crowded)


def _ticks(values: list[float], scale: Scale) -> list[float] | None:
    """On a log axis: the values themselves when they are few (16, 32, 64, ...), else powers of ten; None leaves the choice to Vega."""
    distinct = sorted(set(values))
    if scale == "linear" or len(distinct) < 2:
        return None
    if len(distinct) <= _FEW:
        return distinct
    low, high = math.ceil(math.log10(distinct[0])), math.floor(math.log10(distinct[-1]))
    return [10.0**power for power in range(low, high + 1)] if high - low >= 1 else None


def _chart(rows: list[dict[str, Any]], axes: tuple[str, str], scales: tuple[Scale, Scale], names: list[str]) -> Any:
    import altair as alt

    (x, y), (x_scale, y_scale) = axes, scales
    x_ticks, y_ticks = _ticks([row["x"] for row in rows], x_scale), _ticks([row["y"] for row in rows], y_scale)
    from_data: dict[str, dict[str, Any]] = {"linear": {"zero": False}, "log": {}}  # a log axis has no zero to leave out
    base = alt.Chart(source()).encode(
        x=alt.X("x:Q", title=x, axis=_axis(x_ticks, grid=False)).scale(type=x_scale, nice=False, **from_data[x_scale]),
        y=alt.Y("y:Q", title=y, axis=_axis(y_ticks, grid=True)).scale(type=y_scale, nice=y_scale == "linear", **from_data[y_scale]),
        tooltip=["series:N", alt.Tooltip("x:Q", title=x, format=".5~g"), alt.Tooltip("y:Q", title=y, format=".5~g")],
    )
    dash = alt.StrokeDash("kind:N", legend=None).scale(domain=["measured", "theory"], range=[[1, 0], [5, 4]])
    line = base.mark_line(clip=True).encode(strokeDash=dash, detail="series:N")
    _marked(rows, names)
    point = base.transform_filter("datum.kind === 'measured'").mark_point(filled=True, size=36)
    point = point.encode(opacity=alt.condition("datum.point", alt.value(1), alt.value(0)))
    if len(names) > 1:
        # one domain for colour and shape, so that they share a legend and nothing is said by colour alone
        color = alt.Color("series:N", title=None, **_legend(names)).scale(range="category", domain=names)  # type: ignore[arg-type]
        shape = alt.Shape("series:N", title=None, **_legend(names)).scale(domain=names, range=_SHAPES)
        line, point = line.encode(color=color), point.encode(color=color, shape=shape)
    return alt.layer(line, point)


def _legend(names: list[str]) -> dict[str, Any]:
    """Names that do not fit beside one another stand in columns, each in full."""
    import altair as alt

    columns = max(1, _LEGEND // max(map(len, names)))
    return {} if len(names) <= columns else {"legend": alt.Legend(columns=columns, labelLimit=0)}


def _axis(ticks: list[float] | None, *, grid: bool) -> Any:
    import altair as alt

    return alt.Axis(grid=grid, tickCount=6) if ticks is None else alt.Axis(grid=grid, values=ticks, format="~g", labelOverlap=True)
