"""Points in a plane: embeddings mapped to two dimensions, quality against cost."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Literal

from isinglass.core.errors import ShapeError
from isinglass.show import sketch
from isinglass.show.figure import Figure
from isinglass.show.marks.chart import source, specification
from isinglass.show.table import Table

_PLOT = (560, 330)  # pixels of the plane in a still picture, about; a page is wider, so labels have more room there
_LETTER, _LINE, _BESIDE = 6.4, 14, 7  # pixels of a letter and of a line, and between a point and its label


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
    places = _placed([(row["x"], row["y"], row["label"]) for row in rows], x_scale)
    rows = [
        {**row, "right": row["label"] * (side == "right"), "left": row["label"] * (side == "left")}
        for row, side in zip(rows, places, strict=True)
    ]
    hidden = sum(bool(row["label"]) and not side for row, side in zip(rows, places, strict=True))
    notes = [*notes, *([f"{hidden} labels would lie on others: they are in the table"] if hidden else [])]
    shown = {**({"label": "label"} if any(labels) else {}), **({"group": "group"} if groups else {}), "x": x, "y": y}
    data = Table([{name: row[key] for key, name in shown.items()} for row in rows], title=title, command=command)
    by_group = {
        group: ([row["x"] for row in rows if row["group"] == group], [row["y"] for row in rows if row["group"] == group])
        for group in dict.fromkeys(kinds)
    }
    return Figure(
        specification(_chart((x, x_scale), y, any(labels), groups is not None), rows, height=360),
        title=title, command=command, data=data, notes=notes,
        sketch=functools.partial(sketch.points, by_group, (x, y), x_scale=x_scale),
    )  # fmt: skip


def _placed(points: Sequence[tuple[float, float, str]], x_scale: str) -> list[str]:
    """On which side of its point each label stands, in their order; "" where it would lie on another label, or on a point, on either "
    "side."""
    if not points:
        return []
    places = [(math.log(px) if x_scale == "log" else px, py) for px, py, _ in points]
    spans = [(min(axis), (max(axis) - min(axis)) or 1.0) for axis in zip(*places, strict=True)]
    at = [tuple((value - low) / span * size for value, (low, span), size in zip(each, spans, _PLOT, strict=True)) for each in places]
    taken: list[tuple[float, float, float, float]] = [(px - 4, px + 4, py - 4, py + 4) for px, py in at]
    sides: list[str] = []
    for (px, py), (_, _, label) in zip(at, points, strict=True):
        width = len(label) * _LETTER
        boxes = {
            "right": (px + _BESIDE, px + _BESIDE + width, py - _LINE / 2, py + _LINE / 2),
            "left": (px - _BESIDE - width, px - _BESIDE, py - _LINE / 2, py + _LINE / 2),
        }
        free = (
            side for side, (a, b, c, d) in boxes.items()
            if -_PLOT[0] * 0.1 <= a and b <= _PLOT[0] * 1.15 and not any(a < f and e < b and c < h and g < d for e, f, g, h in taken)
        )  # fmt: skip
        side = next(free, "") if label else ""
        sides.append(side)
        if side:
            taken.append(boxes[side])
    return sides


def _chart(x_axis: tuple[str, Literal["linear", "log"]], y: str, labelled: bool, grouped: bool) -> Any:
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
    if not labelled:
        return point
    right = base.mark_text(align="left", dx=_BESIDE, fontSize=12).encode(text="right:N")
    return alt.layer(point, right, base.mark_text(align="right", dx=-_BESIDE, fontSize=12).encode(text="left:N"))
