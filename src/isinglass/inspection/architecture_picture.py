"""The picture of an architecture: its parts one below the other, the taps at the places where they are."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from isinglass.inspection.anatomy import Column, Part, TapSeen, inside_layer
from isinglass.show import format, sketch
from isinglass.show.figure import Figure
from isinglass.show.table import Table

if TYPE_CHECKING:
    from rich.text import Text

_LINE = 17  # pixels of a line of text
_BOX = 0.52  # share of a column's width that its boxes take; the names of taps stand to their right


def picture(columns: Sequence[Column], *, title: str, notes: Sequence[str] = (), command: str | None = None) -> Figure:
    """Boxes with sizes and shares of the weights; what is repeated is drawn once, in a frame that says how often it comes."""
    total = sum(part.parameters for column in columns for part in column.parts)
    brief = len(columns) > 1  # two columns leave no room for whole names; the table and the tooltips have them
    rows = [row for number, column in enumerate(columns) for row in _laid_out(column, number, total, brief)]
    data = Table(
        [
            {
                "column": column.name, "part": part.name, "size": part.size, "times": column.times if inside_layer(part.name) else 1,
                "parameters": part.parameters, "share": part.parameters / total,
            }
            for column in columns
            for part in column.parts
        ],
        title=title, columns=[*(["column"] if len(columns) > 1 else []), "part", "size", "times", "parameters", "share"],
        units={"parameters": "count", "share": "ratio"}, command=command,
    )  # fmt: skip
    depth = max(row["y2"] for row in rows)
    return Figure(
        _specification(rows, len(columns), depth), title=title, command=command, data=data, notes=notes,
        sketch=functools.partial(_sketch, columns, total),
    )  # fmt: skip


def _laid_out(column: Column, number: int, total: int, brief: bool) -> Iterator[dict[str, Any]]:
    """Rows of the drawing: boxes, their filled shares, taps, the frame. Heights are in lines of text."""
    right = number + (0.66 if brief else _BOX)  # short names leave more room
    left, taps = number + 0.03, right + 0.05
    middle, y = (left + right) / 2, 0.0
    start: float | None = None

    def row(kind: str, y1: float, y2: float, x1: float = left, x2: float = right, **more: Any) -> dict[str, Any]:
        return {"kind": kind, "x": x1, "x2": x2, "y": y1, "y2": y2, "part": "", "text": "", "tip": "", **more}

    if column.name:
        yield row("head", y, y + 1, text=column.name)
        y += 1.5
    for place in column.places:
        framed = inside_layer(place.name)
        if framed and start is None:
            yield row("way", y, y + 1.6, middle, middle)
            start, y = y, y + 1.6
        if not framed and start is not None:
            yield row("frame", start, y, number, number + 0.985, text=f"x {column.times}", tip=f"{column.times} equal layers")
            yield row("way", y, y + 0.6, middle, middle)
            start, y = None, y + 0.6
        if isinstance(place, TapSeen):
            yield row("way", y, y + 1, middle, middle)
            yield row("tap", y + 0.5, y + 0.5, middle, taps, text=_tap(place), tip=_tap_tip(place))
            y += 1
            continue
        share, sizes = place.parameters / total, place.size.split("; ")
        height = max(1.4 + 0.9 * len(sizes), len(place.taps) + 0.3)
        named: dict[str, Any] = {
            "part": kind_of(place.name),
            "tip": f"{place.name}  {place.size}  {place.parameters:,} parameters, {format.percent(share)}",
        }
        yield row("box", y, y + height, **named)
        yield row("share", y, y + height, left, left + share * (right - left), **named)
        of_all = format.percent(share) if place.parameters else "shared"
        yield row("name", y + 0.75, y + 0.75, left + 0.015, text=f"{short(place.name)}  {of_all}", **named)
        for at, size in enumerate(sizes):
            yield row("size", y + 1.7 + 0.9 * at, y + 1.7 + 0.9 * at, left + 0.015, text=size, **named)
        for at, tap in enumerate(place.taps):
            yield row("tap", y + at + 0.65, y + at + 0.65, right, taps, text=_tap(tap, brief), tip=_tap_tip(tap))
        y += height
        yield row("way", y, y + 0.5, middle, middle)
        y += 0.5
    if start is not None:
        yield row("frame", start, y, number, number + 0.985, text=f"x {column.times}", tip=f"{column.times} equal layers")


def short(name: str) -> str:
    """A place without the stack and the layer it is in."""
    return name.rpartition("layers.N.")[2] if inside_layer(name) else name.removeprefix("encoder.").removeprefix("decoder.")


def kind_of(name: str) -> str:
    """What colours a part: attention, feed-forward, norm, or what is at the ends."""
    last = short(name)
    if last.endswith("norm"):
        return "norm"
    return {"attention": "attention", "cross_attention": "attention", "mlp": "feed-forward"}.get(last, "embedding and heads")


def _tap(tap: TapSeen, brief: bool = False) -> str:
    name = short(tap.name)
    return name.rpartition(".")[2] if brief else name


def _tap_tip(tap: TapSeen) -> str:
    return f"{tap.name}: {' x '.join(map(str, tap.shape))}"


def _specification(rows: list[dict[str, Any]], n_columns: int, depth: float) -> dict[str, Any]:
    """Plain layers over one pair of hidden axes. Colours are names of ranges, so that the picture follows light and dark."""
    x = {"field": "x", "type": "quantitative", "axis": None, "scale": {"domain": [0, n_columns], "nice": False, "zero": False}}
    y = {"field": "y", "type": "quantitative", "axis": None, "scale": {"domain": [0, depth + 0.3], "reverse": True, "nice": False}}
    area = {"x": x, "y": y, "x2": {"field": "x2"}, "y2": {"field": "y2"}}
    point, tip = {"x": x, "y": y}, {"field": "tip", "type": "nominal", "title": " "}
    kinds = ["attention", "feed-forward", "norm", "embedding and heads"]
    color = {"field": "part", "type": "nominal", "scale": {"domain": kinds, "range": "category"}, "legend": None}
    text = {"field": "text", "type": "nominal"}

    def layer(kind: str, mark: dict[str, Any], encoding: dict[str, Any]) -> dict[str, Any]:
        return {"transform": [{"filter": f"datum.kind === '{kind}'"}], "mark": mark, "encoding": encoding}

    behind: dict[str, Any] = {"x": {**x, "field": "x2"}, "y": y, "text": text, "tooltip": tip}
    words: dict[str, Any] = {"type": "text", "align": "left", "baseline": "middle"}
    return {
        "data": {"values": rows},
        "height": round((depth + 0.3) * _LINE),
        "layer": [
            layer("frame", {"type": "rect", "filled": False, "strokeDash": [4, 3], "opacity": 0.6}, {**area, "tooltip": tip}),
            layer("frame", {**words, "dx": 8, "dy": 12, "fontWeight": "bold"}, {**point, "text": text}),
            layer("way", {"type": "rule"}, area),
            layer("share", {"type": "rect", "opacity": 0.35}, {**area, "color": color}),
            layer("box", {"type": "rect", "filled": False, "strokeWidth": 1.5}, {**area, "color": color, "tooltip": tip}),
            layer("tap", {"type": "rule", "strokeDash": [2, 2], "opacity": 0.7}, area),
            layer("tap", {"type": "point", "filled": True, "size": 26}, {**point, "tooltip": tip}),
            layer("tap", {**words, "dx": 4, "font": "monospace", "fontSize": 11}, behind),
            layer("name", {**words, "fontWeight": "bold"}, {**point, "text": text, "tooltip": tip}),
            layer("size", {**words, "fontSize": 11}, {**point, "text": text, "tooltip": tip}),
            layer("head", {**words, "dy": 8, "fontWeight": "bold"}, {**point, "text": text}),
        ],
    }  # fmt: skip


def _sketch(columns: Sequence[Column], total: int, width: int) -> Text:
    """The same in characters: a line for each part and each tap."""
    from rich.text import Text

    lines: list[Text] = []
    for column in columns:
        if column.name:
            lines.append(Text(column.name, style="bold"))
        opened = False
        for place in column.places:
            framed = inside_layer(place.name)
            if framed != opened:
                lines.append(Text(sketch.fit(f"┌ {column.times} layers" if framed else "└", width)))
                opened = framed
            bar = "│ " if framed else "  "
            if isinstance(place, Part):
                share = place.parameters / total
                told = f"{bar}■ {short(place.name):<18} {format.percent(share):>7} {'█' * round(12 * share):<12} {place.size}"
                lines.append(Text(sketch.fit(told, width)))
            taps = place.taps if isinstance(place, Part) else (place,)
            lines += [Text(sketch.fit(f"{bar}  ◦ {short(tap.name):<18} {' x '.join(map(str, tap.shape))}", width)) for tap in taps]
        if opened:
            lines.append(Text("└"))
    return Text("\n", no_wrap=True, overflow="crop").join(lines)
