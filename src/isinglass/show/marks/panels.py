"""Small multiples of bars: several lists of bars under one another, each with its own labels, over one axis."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isinglass.core.errors import ShapeError
from isinglass.show import format, sketch
from isinglass.show.figure import Figure
from isinglass.show.marks.chart import source, specification
from isinglass.show.table import Table

if TYPE_CHECKING:
    from rich.text import Text

_ROW = 20  # pixels


@dataclass(frozen=True)
class Panel:
    """One list of bars: what stands above it, its labels, and a value per label for each series."""

    name: str
    labels: Sequence[str]
    series: Mapping[str, Sequence[float]]


def panels(
    shown: Sequence[Panel],
    *,
    title: str,
    axis: str,
    unit: str | None = None,
    limit: float = 1.0,
    command: str | None = None,
    notes: Sequence[str] = (),
) -> Figure:
    """Panels over one axis from 0 to `limit`, so that lengths compare between them; `unit` as for `bars`.

    Raises ShapeError when a series has not one value per label.
    """
    rows: list[dict[str, Any]] = []
    names: list[str] = []  # of the places on the axis: a heading, then its labels
    table: list[dict[str, Any]] = []
    for panel in shown:
        rows.append({"order": len(names), "heading": panel.name})
        names.append("")
        for name, values in panel.series.items():
            if len(values) != len(panel.labels):
                raise ShapeError(f"panel {panel.name!r}: series {name!r} has {len(values)} values for {len(panel.labels)} labels")
        for place, label in enumerate(panel.labels):
            for name, values in panel.series.items():
                value = float(values[place])
                rows.append(
                    {"order": len(names), "label": format.label(label), "group": name, "value": value, "text": format.value(value, unit)}
                )
                table.append({"panel": panel.name, "label": label, "group": name, axis: value})
            names.append(format.label(label))
    groups = list(dict.fromkeys(name for panel in shown for name in panel.series))
    chart = _chart(axis, unit, limit, names, groups)
    height = _ROW * (len(shown) + len(names) * max(1, len(groups)))
    return Figure(
        {**specification(chart, rows, height=height), "padding": {"left": 8, "top": 8, "bottom": 8, "right": 16}},
        title=title, command=command, data=Table(table, title=title, units={axis: unit} if unit and table else {}), notes=notes,
        sketch=functools.partial(_sketch, tuple(shown), unit, limit),
    )  # fmt: skip


def _chart(axis: str, unit: str | None, limit: float, names: list[str], groups: list[str]) -> Any:
    import json

    import altair as alt

    x = alt.X(
        "value:Q", title=format.heading(axis, unit), axis=alt.Axis(format="%" if unit == "ratio" else ",~r", tickCount=5, grid=True)
    ).scale(domain=[0, limit], nice=False)
    named = alt.Axis(labelExpr=f"{json.dumps(names)}[datum.value]", ticks=False, domain=False, labelFont="monospace", labelLimit=200)
    y = alt.Y("order:O", title=None, axis=named).scale(padding=0.15)
    base = alt.Chart(source()).encode(y=y)
    heading = base.transform_filter("isValid(datum.heading)").mark_text(align="left", fontWeight="bold", limit=600)
    several = len(groups) > 1
    tips = ["label:N", *(["group:N"] if several else []), alt.Tooltip("text:N", title=axis)]
    bar = base.transform_filter("!isValid(datum.heading)").encode(x=x, tooltip=tips)
    if several:
        bar = bar.encode(yOffset=alt.YOffset("group:N").scale(domain=groups))
    drawn = bar.mark_bar(cornerRadiusEnd=2)
    if several:
        drawn = drawn.encode(color=alt.Color("group:N", title=None).scale(range="category", domain=groups))  # type: ignore[arg-type]
    value = bar.mark_text(align="left", dx=5).encode(text="text:N")
    return alt.layer(drawn, value, heading.encode(x=alt.value(0), text="heading:N"))


def _sketch(shown: tuple[Panel, ...], unit: str | None, limit: float, width: int) -> Text:
    from rich.text import Text

    lines = Text("\n", no_wrap=True, overflow="crop")
    parts = []
    for panel in shown:
        parts.append(Text(sketch.fit(panel.name, width).rstrip(), style="bold"))
        parts.append(sketch.bars([format.label(label) for label in panel.labels], panel.series, unit, limit, width))
    return lines.join(parts)
