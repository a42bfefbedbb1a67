"""Points in a plane: embeddings mapped to two dimensions, quality against cost."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Literal

from isinglass.core.errors import ShapeError
from isinglass.show import sketch
from isinglass.show.figure import Figure
from isinglass.show.marks.chart import source, specification
from isinglass.show.table import Table

_NAMED = 30  # up to so many points carry their label in the picture; all carry it on hover and in the table


def scatter(
    xs: Sequence[float],
    ys: Sequence[float],
    *,
    title: str,
    x: str,
    y: str,
    labels: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    x_scale: Literal["linear", "log"] = "linear",
    command: str | None = None,
    notes: Sequence[str] = (),
) -> Figure:
    """Points with optional labels and groups (colour and shape); on a log axis every x is positive.

    Raises ShapeError when the sequences differ in length.
    """
    lengths = {name: len(part) for name, part in {"xs": xs, "ys": ys, "labels": labels, "groups": groups}.items() if part is not None}
    if len(set(lengths.values())) > 1:
        raise ShapeError(f"scatter {title!r}: sequences differ in length: {lengths}")
    labels, kinds = labels or [""] * len(xs), groups or [""] * len(xs)
    rows = [
        {"x": float(px), "y": float(py), "label": label, "group": group} for px, py, label, group in zip(xs, ys, labels, kinds, strict=True)
    ]
    shown = {**({"label": "label"} if any(labels) else {}), **({"group": "group"} if groups else {}), "x": x, "y": y}
    data = Table([{name: row[key] for key, name in shown.items()} for row in rows], title=title, command=command)
    by_group = {
        group: ([row["x"] for row in rows if row["group"] == group], [row["y"] for row in rows if row["group"] == group])
        for group in dict.fromkeys(kinds)
    }
    return Figure(
        specification(_chart((x, x_scale), y, any(labels) and len(rows) <= _NAMED, any(labels), groups is not None), rows, height=360),
        title=title, command=command, data=data, notes=notes,
        sketch=functools.partial(sketch.points, by_group, (x, y), x_scale=x_scale),
    )  # fmt: skip


def _chart(x_axis: tuple[str, Literal["linear", "log"]], y: str, named: bool, labelled: bool, grouped: bool) -> Any:
    import altair as alt

    x, x_scale = x_axis
    from_data: dict[str, Any] = {"zero": False} if x_scale == "linear" else {}  # a log axis has no zero to leave out
    tips = [*(["label:N"] if labelled else []), *(["group:N"] if grouped else [])]
    base = alt.Chart(source()).encode(
        x=alt.X("x:Q", title=x).scale(type=x_scale, padding=16, **from_data).axis(tickCount=6, grid=x_scale == "linear"),
        y=alt.Y("y:Q", title=y).scale(zero=False, padding=16).axis(tickCount=6),
        tooltip=[*tips, alt.Tooltip("x:Q", title=x, format=".4~g"), alt.Tooltip("y:Q", title=y, format=".4~g")],
    )
    point = base.mark_point(filled=True, opacity=0.85)
    if grouped:
        color = alt.Color("group:N", title=None, sort=None).scale(range="category")  # type: ignore[arg-type]
        point = point.encode(color=color, shape=alt.Shape("group:N", title=None, sort=None))
    return alt.layer(point, base.mark_text(align="left", dx=7, fontSize=12).encode(text="label:N")) if named else point
