"""Horizontal bars with their values, in one series or in groups (next-token probabilities at several temperatures)."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from isinglass.core.errors import ShapeError
from isinglass.show import format, sketch
from isinglass.show.figure import Figure
from isinglass.show.marks.chart import source, specification
from isinglass.show.table import Table

_BAR = 22  # pixels per bar


def bars(
    labels: Sequence[str],
    values: Sequence[float] | Mapping[str, Sequence[float]],
    *,
    title: str,
    axis: str = "value",
    unit: str | None = None,
    limit: float | None = None,
    command: str | None = None,
    notes: Sequence[str] = (),
) -> Figure:
    """Bars from zero to each value, in the order given. `values` is one series, or name -> series for groups under each label.

    `axis` names the quantity, `unit` its unit ("ratio", "bytes", "seconds", ... or any word), `limit` the end of the axis
    (None: the largest value). Raises ShapeError when a series has not one value per label.
    """
    groups = {
        name: [float(value) for value in series] for name, series in (values if isinstance(values, Mapping) else {"": values}).items()
    }
    for name, series in groups.items():
        if len(series) != len(labels):
            raise ShapeError(f"bars {title!r}: series {name!r} has {len(series)} values for {len(labels)} labels")
    rows = [
        {"order": place, "label": format.label(label), "group": name, "value": series[place], "text": format.value(series[place], unit)}
        for place, label in enumerate(labels)
        for name, series in groups.items()
    ]
    seen = [format.label(label) for label in labels]
    finite = [row["value"] for row in rows if math.isfinite(row["value"])]
    end = limit if limit is not None else max(finite, default=1.0)
    grouped = len(groups) > 1
    height = max(1, len(rows)) * _BAR + (8 * len(labels) if grouped else 0)
    columns = {"label": "label", **({"group": "group"} if grouped else {}), "value": axis}
    data = Table(
        [{columns[key]: labels[row["order"]] if key == "label" else row[key] for key in columns} for row in rows],
        title=title, units={axis: unit} if unit and rows else {}, command=command,
    )  # fmt: skip
    # the value stands behind its bar, outside of the axes at the longest one; Vega fits the chart so that it is still inside
    padding = {"left": 8, "top": 8, "bottom": 8, "right": 16}
    chart = _chart(axis, unit, (min([0.0, *finite]), end), seen, list(groups))
    return Figure(
        {**specification(chart, rows, height=height), "padding": padding},
        title=title, command=command, data=data, notes=notes,
        sketch=functools.partial(sketch.bars, seen, groups, unit, end),
    )  # fmt: skip


def _chart(axis: str, unit: str | None, ends: tuple[float, float], labels: list[str], groups: list[str]) -> Any:
    import json

    import altair as alt

    numbers = {"ratio": "%", "bytes": "~s", "count": "~s", "flops": "~s", "seconds": "~s", "usd": "$,~r"}.get(unit or "", ",~r")
    measure = {"bytes": "bytes", "flops": "FLOP", "seconds": "s", "usd": "USD"}.get(unit or "")  # ticks carry a prefix, the title the unit
    named_axis = f"{axis} ({measure})" if measure else format.heading(axis, unit)
    x = alt.X("value:Q", title=named_axis, axis=alt.Axis(format=numbers, tickCount=5, grid=True)).scale(
        domain=list(ends) if ends[1] > ends[0] else [0, 1], nice=False
    )
    # the place on the axis is a number, so equal labels stay different bars and nothing is sorted
    named = alt.Axis(labelExpr=f"{json.dumps(labels)}[datum.value]", ticks=False, domain=False, labelFont="monospace", labelLimit=200)
    y = alt.Y("order:O", title=None, axis=named).scale(padding=0.15)
    tips = ["label:N", *(["group:N"] if len(groups) > 1 else []), alt.Tooltip("text:N", title=axis)]
    base = alt.Chart(source()).encode(x=x, y=y, tooltip=tips)
    if len(groups) > 1:
        base = base.encode(yOffset=alt.YOffset("group:N").scale(domain=groups))
    bar = base.mark_bar(cornerRadiusEnd=2)
    if len(groups) > 1:
        bar = bar.encode(color=alt.Color("group:N", title=None).scale(range="category", domain=groups))  # type: ignore[arg-type]
    return alt.layer(bar, base.mark_text(align="left", dx=5).encode(text="text:N"))
