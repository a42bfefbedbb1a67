"""Word maps: heat maps with a word in each cell, such as the token a layer finds likeliest and how likely it finds it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from isinglass.core.errors import ShapeError
from isinglass.show import format, sketch
from isinglass.show.figure import Figure
from isinglass.show.marks.heatmap import heatmap
from isinglass.show.table import Table
from isinglass.show.terminal import QUIET, heat
from isinglass.show.theme import SIZES

if TYPE_CHECKING:
    from rich.text import Text

_PLOT = 640  # pixels of a still picture's plot
_ROW = 20
_NARROW = 24  # pixels below which a word in a cell says nothing
_DARK = 0.6  # share of the scale from which on a word stands out better in the colour of the paper


def word_map(
    values: ArrayLike,
    words: Sequence[Sequence[str]],
    *,
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    row_axis: str,
    column_axis: str,
    value: str,
    word: str,
    limits: tuple[float, float],
    data: Table | None = None,
    command: str | None = None,
    notes: Sequence[str] = (),
) -> Figure:
    """A `heatmap` of `values [rows, columns]` with `words` in its cells; `word` names what they are. Where columns are too narrow for words
    they are left out of the picture (a note says so), and still shown for the cell that is pointed at.

    `data` is the table twin; None: one row per cell. Raises ShapeError for words that do not fit the values.
    """
    if [len(row) for row in words] != [len(columns)] * len(rows):
        raise ShapeError(f"word map {title!r}: {sum(map(len, words))} words for {len(rows)} x {len(columns)} cells")
    base = heatmap(
        values, title=title, rows=rows, columns=columns, row_axis=row_axis, column_axis=column_axis, value=value, limits=limits,
        command=command, notes=notes,
    )  # fmt: skip
    spec, wide = base.spec, _PLOT // len(columns)
    cells = spec["data"]["values"]
    for cell in cells:
        row, column = int(cell["r"]), int(cell["c"])
        cell["word"] = format.token(words[row][column])
        cell["ink"] = int((cell["value"] - limits[0]) / (limits[1] - limits[0]) < _DARK)
    twin = data or Table(
        [{**row, word: cell["word"]} for row, cell in zip(base.data.rows if base.data else [], cells, strict=True)], title=title
    )
    hidden = [] if wide >= _NARROW else [f"{word}: point at a cell, or see the table; {len(columns)} columns leave no room for words"]
    return Figure(
        _layered(spec, word, wide if wide >= _NARROW else 0, _ROW * len(rows)), title=title, command=command, data=twin,
        notes=(*base.notes, *hidden), sketch=functools.partial(_sketch, values, words, rows, columns, limits),
    )  # fmt: skip


def _layered(spec: dict[str, Any], word: str, wide: int, height: int) -> dict[str, Any]:
    """The map, and the words over it with a scale of their own: its ends are the strongest and the palest colour in light and dark."""
    mark, encoding = spec.pop("mark"), spec.pop("encoding")
    tips = {"tooltip": [{"field": "word", "type": "nominal", "title": word}, *encoding["tooltip"]]}
    layers: list[dict[str, Any]] = [{"mark": mark, "encoding": {**encoding, **tips}}]
    if wide:
        text = {"type": "text", "font": "monospace", "fontSize": SIZES["small"], "limit": wide - 3, "clip": True}
        ink = {"field": "ink", "type": "quantitative", "legend": None, "scale": {"domain": [0, 1], "range": "heatmap"}}
        placed = {axis: encoding[axis] for axis in ("x", "y")}
        layers.append({"mark": text, "encoding": {**placed, **tips, "text": {"field": "word", "type": "nominal"}, "color": ink}})
    return {**spec, "height": height, "layer": layers, "resolve": {"scale": {"color": "independent"}}}


def _sketch(
    values: Any, words: Sequence[Sequence[str]], rows: Sequence[str], columns: Sequence[str], limits: tuple[float, float], width: int
) -> Text:
    """A word and its level per cell; of more columns than fit the last ones, which are the newest."""
    from rich.text import Text

    left = min(width // 4, max(map(len, rows)))
    fitting = max(1, min(len(columns), (width - left) // 8))
    wide = max(2, min(14, (width - left) // fitting - 2))
    first = len(columns) - fitting
    told = f"the last {fitting} of {len(columns)} columns" if first else ""
    lines = [Text(told, style=QUIET)] if told else []
    head = Text(" " * left)
    for column in columns[first:]:
        head.append(" " + sketch.fit(format.token(column), wide) + " ", style="bold")
    lines.append(head)
    for name, line_values, line_words in zip(rows, values, words, strict=True):
        line = Text(sketch.fit(name, left), style=QUIET)
        for value, seen in list(zip(line_values, line_words, strict=True))[first:]:
            share = (float(value) - limits[0]) / (limits[1] - limits[0])
            line.append(" " + sketch.fit(format.token(seen), wide) + sketch.level(share), style=heat(share))
        lines.append(line)
    return Text("\n", no_wrap=True, overflow="crop").join(lines)
