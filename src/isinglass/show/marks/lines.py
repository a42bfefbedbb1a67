"""Curves: several series over one pair of axes, with the theory dashed beside the measurement."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from isinglass.core.errors import ShapeError
from isinglass.show import sketch
from isinglass.show.figure import Figure
from isinglass.show.marks.chart import source, specification
from isinglass.show.table import Table

Curves = Mapping[str, tuple[Sequence[float], Sequence[float]]]  # name -> (x, y)
Scale = Literal["linear", "log"]
_CROWDED = 40  # points per series from which on the line stands alone; the points are still there to be pointed at
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

    Values that are not positive are left out on a log axis. Raises ShapeError when x and y of a series differ in length.
    """
    curves = {**series, **(theory or {})}
    for name, (xs, ys) in curves.items():
        if len(xs) != len(ys):
            raise ShapeError(f"lines {title!r}: series {name!r} has {len(xs)} x values and {len(ys)} y values")
    rows = [
        {"series": name, "kind": "measured" if name in series else "theory", "x": float(px), "y": float(py)}
        for name, (xs, ys) in curves.items()
        for px, py in zip(xs, ys, strict=True)
        if (x_scale == "linear" or px > 0) and (y_scale == "linear" or py > 0)
    ]
    data = Table([{"series": row["series"], "kind": row["kind"], x: row["x"], y: row["y"]} for row in rows], title=title, command=command)
    return Figure(
        specification(_chart(rows, (x, y), (x_scale, y_scale), list(curves)), rows, height=300),
        title=title, command=command, data=data, notes=(*notes, *(["dashed: theory"] if theory else [])),
        sketch=functools.partial(sketch.lines, curves, (x, y), (x_scale, y_scale)),
    )  # fmt: skip


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
    crowded = len(rows) > _CROWDED * len(names)
    point = base.transform_filter("datum.kind === 'measured'").mark_point(filled=True, size=36, opacity=0 if crowded else 1)
    if len(names) > 1:
        # one domain for colour and shape, so that they share a legend and nothing is said by colour alone
        color = alt.Color("series:N", title=None).scale(range="category", domain=names)  # type: ignore[arg-type]
        line, point = line.encode(color=color), point.encode(color=color, shape=alt.Shape("series:N", title=None).scale(domain=names))
    return alt.layer(line, point)


def _axis(ticks: list[float] | None, *, grid: bool) -> Any:
    import altair as alt

    return alt.Axis(grid=grid, tickCount=6) if ticks is None else alt.Axis(grid=grid, values=ticks, format="~g", labelOverlap=True)
