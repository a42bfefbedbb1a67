"""Heat maps: one value for each pair of row and column, on the sequential scale or, for effects, on the diverging one."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from isinglass.core.errors import ShapeError
from isinglass.show import format, sketch
from isinglass.show.figure import Figure
from isinglass.show.marks.chart import source, specification
from isinglass.show.table import Table

_LABELS = 24  # axis labels at most, evenly chosen: so many have room at phone width


def heatmap(
    values: ArrayLike,
    *,
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    row_axis: str,
    column_axis: str,
    value: str,
    scale: Literal["sequential", "diverging"] = "sequential",
    limits: tuple[float, float] | None = None,
    command: str | None = None,
    notes: Sequence[str] = (),
) -> Figure:
    """`values [rows, columns]` as coloured cells; `row_axis`, `column_axis` and `value` name what they are.

    `limits` None: from the smallest to the largest value; a diverging scale is made symmetric, with zero in its middle. The limits are
    printed. Raises ShapeError when labels and values do not fit.
    """
    matrix = np.asarray(values, dtype=np.float64)
    if not matrix.size:
        raise ShapeError(f"heatmap {title!r}: there are no values, the shape is {matrix.shape}")
    if matrix.shape != (len(rows), len(columns)):
        raise ShapeError(f"heatmap {title!r}: values have shape {matrix.shape}, labels are for {(len(rows), len(columns))}")
    low, high = limits or _limits(matrix, scale)
    if scale == "diverging":
        low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
    cells = [
        {"r": r, "c": c, "row": format.label(rows[r]), "column": format.label(columns[c]), "value": float(matrix[r, c])}
        for r in range(len(rows))
        for c in range(len(columns))
    ]
    names = _distinct(row_axis, column_axis, value)
    data = Table(
        [dict(zip(names, (rows[cell["r"]], columns[cell["c"]], cell["value"]), strict=True)) for cell in cells],
        title=title,
        command=command,
    )
    chart = _chart(list(map(format.label, rows)), list(map(format.label, columns)), (row_axis, column_axis, value), (low, high), scale)
    return Figure(
        specification(chart, cells, height=max(120, min(560, 24 * len(rows)))), title=title, command=command, data=data,
        notes=(f"scale: {value} from {format.plain(low)} to {format.plain(high)}", *notes),
        sketch=functools.partial(sketch.heatmap, matrix, [format.label(row) for row in rows], low, high),
    )  # fmt: skip


def _distinct(*names: str) -> list[str]:
    """Columns of a table need different names, also when query and key axis are both called "token"."""
    return [name if names.index(name) == place else f"{name} {place + 1}" for place, name in enumerate(names)]


def _limits(matrix: np.ndarray, scale: str) -> tuple[float, float]:
    finite = matrix[np.isfinite(matrix)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low or scale == "diverging" else (low, low + 1)


def _chart(rows: list[str], columns: list[str], axes: tuple[str, str, str], limits: tuple[float, float], scale: str) -> Any:
    import altair as alt

    row_axis, column_axis, value = axes
    low, high = limits if limits[1] > limits[0] else (limits[0] - 1, limits[0] + 1)
    ticks = [low, 0.0, high] if scale == "diverging" else [low, (low + high) / 2, high]
    legend = alt.Legend(title=value, values=ticks, format=".3~g")
    kind, domain = ("diverging", [low, 0, high]) if scale == "diverging" else ("heatmap", [low, high])
    # in RGB, as theme.ramp does: Vega's default would pass from blue to ember through pink
    color = alt.Color("value:Q", legend=legend).scale(domain=domain, range=kind, interpolate="rgb")  # type: ignore[arg-type]
    return (
        alt.Chart(source())
        .mark_rect()
        .encode(
            x=alt.X("c:O", title=column_axis, axis=_axis(columns, angle=0 if len(columns) <= 16 and max(map(len, columns)) <= 3 else -90)),
            y=alt.Y("r:O", title=row_axis, axis=_axis(rows, angle=0)),
            color=color,
            tooltip=[
                alt.Tooltip("row:N", title=row_axis),
                alt.Tooltip("column:N", title=column_axis),
                alt.Tooltip("value:Q", title=value, format=".4~g"),
            ],
        )
    )  # fmt: skip


def _axis(labels: list[str], angle: int) -> Any:
    """Positions carry the labels by index, so equal tokens at different places stay different rows."""
    import json

    import altair as alt

    # Thinned in the expression: with explicit `values` Vega 6.2 drops the first band where rounding puts it at -1e-14 (seen at 912 px).
    step = -(-len(labels) // _LABELS)
    named = f"datum.value % {step} === 0 ? {json.dumps(labels)}[datum.value] : ''"
    look: dict[str, Any] = {"labelFont": "monospace", "labelLimit": 120, "labelOverlap": False, "ticks": False, "domain": False}
    return alt.Axis(labelExpr=named, labelAngle=angle, labelFlush=False, **look)
