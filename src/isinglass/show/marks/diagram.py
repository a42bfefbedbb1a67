"""Boxes in columns with numbered arrows between them: the components of a system and what flows between them."""

from __future__ import annotations

import graphlib
from collections.abc import Mapping, Sequence
from typing import Any

from isinglass.core.errors import ShapeError
from isinglass.show.figure import Figure
from isinglass.show.table import Table

_HALF = (0.36, 0.22)  # of a box, in columns and rows


def diagram(boxes: Mapping[str, str], arrows: Sequence[tuple[str, str]], *, title: str, command: str | None = None) -> Figure:
    """Each box with its kind, in columns from left to right. Raises ShapeError for arrows in a circle, and for one without its boxes."""
    import altair as alt

    _check(boxes, arrows, title)
    at = _places(list(boxes), arrows)
    drawn = [{"name": name, "kind": kind, "x": at[name][0], "y": at[name][1]} for name, kind in boxes.items()]
    right = _HALF[0]
    lines = [
        {"n": str(n), "x": at[a][0] + right, "y": at[a][1], "x2": at[b][0] - right, "y2": at[b][1]} for n, (a, b) in enumerate(arrows, 1)
    ]
    ends = [one | {"mx": (one["x"] + one["x2"]) / 2, "my": (one["y"] + one["y2"]) / 2 + 0.12} for one in lines]
    rects = [r | {"l": r["x"] - _HALF[0], "r": r["x"] + _HALF[0], "b": r["y"] - _HALF[1], "t": r["y"] + _HALF[1]} for r in drawn]
    x, y = (lambda key: alt.X(f"{key}:Q", axis=None)), (lambda key: alt.Y(f"{key}:Q", axis=None).scale(padding=20))
    line = alt.Chart(alt.Data(values=ends))
    box = alt.Chart(alt.Data(values=rects))
    chart: Any = alt.layer(
        line.mark_rule(strokeWidth=1.5, color="#6B645A").encode(x=x("x"), y=y("y"), x2="x2:Q", y2="y2:Q"),
        line.mark_point(shape="triangle-right", filled=True, size=60, color="#6B645A", opacity=1).encode(x=x("x2"), y=y("y2")),
        line.mark_text(fontSize=12).encode(x=x("mx"), y=y("my"), text="n:N"),
        box.mark_rect(cornerRadius=4, fillOpacity=0.12, strokeWidth=1.5).encode(
            x=x("l"), x2="r:Q", y=y("b"), y2="t:Q",
            color=alt.Color("kind:N", title=None), stroke=alt.Stroke("kind:N", title=None),
        ),
        box.mark_text(fontSize=12, dy=-7).encode(x=x("x"), y=y("y"), text="name:N"),
        box.mark_text(fontSize=12, dy=9, fontStyle="italic").encode(x=x("x"), y=y("y"), text="kind:N"),
    ).properties(width=1100, height=260)  # fmt: skip
    table = Table([{"arrow": n, "from": a, "to": b} for n, (a, b) in enumerate(arrows, 1)], title=title, command=command)
    return Figure({key: part for key, part in chart.to_dict().items() if key != "config"}, title=title, command=command, data=table)


def _check(boxes: Mapping[str, str], arrows: Sequence[tuple[str, str]], title: str) -> None:
    unknown = [name for arrow in arrows for name in arrow if name not in boxes]
    if unknown:
        raise ShapeError(f"diagram {title!r}: an arrow names {unknown[0]!r}, which is no box")
    try:
        list(graphlib.TopologicalSorter({name: {a for a, b in arrows if b == name} for name in boxes}).static_order())
    except graphlib.CycleError as fault:
        raise ShapeError(f"diagram {title!r}: the arrows run in a circle: {' -> '.join(fault.args[1])}") from None


def _places(names: Sequence[str], arrows: Sequence[tuple[str, str]]) -> dict[str, tuple[float, float]]:
    """Column: after everything that flows into a box; a box with no inflow stands just before the first that it feeds."""
    column = dict.fromkeys(names, 0)
    for _ in names:
        for a, b in arrows:
            column[b] = max(column[b], column[a] + 1)
    for name in set(names) - {b for _, b in arrows}:
        column[name] = max(0, min((column[b] for a, b in arrows if a == name), default=1) - 1)
    held = {place: [name for name in names if column[name] == place] for place in set(column.values())}
    return {name: (place, (len(row) - 1) / 2 - row.index(name)) for place, row in held.items() for name in row}
