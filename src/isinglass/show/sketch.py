"""Charts made of characters. Shape says everything that colour says, so a sketch is complete without colour."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isinglass.show import format, theme
from isinglass.show.terminal import EMBER, QUIET, TEAL, heat

if TYPE_CHECKING:
    from rich.text import Text

Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]  # name -> (x, y)

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SHADES = " ░▒▓█"
_LEVELS = "▁▂▃▄▅▆▇█"
_MARKERS = "●▲■◆○△□◇"
_HEIGHT = 14


def fit(text: str, width: int) -> str:
    """`text` in exactly `width` columns, shortened with an ellipsis; safe for a terminal."""
    from rich.cells import cell_len, set_cell_size

    text = format.visible(text)
    if width <= 0:
        return ""
    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _widest(texts: Sequence[str], most: int) -> int:
    from rich.cells import cell_len

    return max(0, min(most, max((cell_len(format.visible(text)) for text in texts), default=0)))


def _join(lines: list[Text]) -> Text:
    from rich.text import Text

    return Text("\n", no_wrap=True, overflow="crop").join(lines)


def bars(labels: Sequence[str], groups: Mapping[str, Sequence[float]], unit: str | None, limit: float, width: int) -> Text:
    """Horizontal bars with their values; groups stand below one another under each label."""
    from rich.text import Text

    values = {name: [format.value(value, unit) for value in column] for name, column in groups.items()}
    number = _widest([text for column in values.values() for text in column], width // 3)
    left, key = _widest(labels, width // 3), _widest(list(groups), width // 6) if len(groups) > 1 else 0
    room = width - left - key - number - 2 - (1 if key else 0)
    lines = []
    for row, label in enumerate(labels):
        for place, (name, column) in enumerate(groups.items()):
            line = Text(fit(label if place == 0 else "", left))
            if key:
                line.append(" " + fit(name, key), style=QUIET)
            line.append(" " + _bar(column[row] / limit if limit else 0.0, room), style=EMBER)
            line.append(" " + fit(values[name][row].rjust(number), number))
            lines.append(line)
    return _join(lines)


def _bar(share: float, width: int) -> str:
    eighths = 0 if math.isnan(share) else round(min(max(share, 0.0), 1.0) * max(width, 0) * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(max(width, 0))


def level(share: float) -> str:
    """One character filled from below to a share 0..1.

    >>> level(0.0), level(1.0)
    ('▁', '█')
    """
    return _LEVELS[round(min(max(share, 0.0), 1.0) * (len(_LEVELS) - 1))]


def heatmap(values: NDArray[np.floating], rows: Sequence[str], low: float, high: float, width: int) -> Text:
    """Rows of shaded cells, dark where the value is far from zero or from the lower limit; neighbours are merged (largest wins) to fit."""
    from rich.text import Text

    left = _widest(rows, width // 4)
    cells = _shrink(values, columns=max(1, width - left - 1), rows=40)
    wide = max(1, min(3, (width - left - 1) // cells.shape[1]))
    names: list[str] = [rows[int(i * values.shape[0] // cells.shape[0])] for i in range(cells.shape[0])]
    lines = []
    for name, row in zip(names, cells, strict=True):
        line = Text(fit(name, left) + " ", style=QUIET)
        for value in row:
            line.append(*_shade(float(value), low, high, wide))
        lines.append(line)
    return _join(lines)


def _shade(value: float, low: float, high: float, wide: int) -> tuple[str, str]:
    if low < 0 < high:  # diverging: strength by shade, sign by character as well as by colour
        strength = min(1.0, abs(value) / high)
        mark = _SHADES[math.ceil(strength * 4 - 1e-9)] if value >= 0 else " ·-=≡"[math.ceil(strength * 4 - 1e-9)]
        return mark * wide, EMBER if value >= 0 else TEAL
    strength = 0.0 if high == low or math.isnan(value) else min(1.0, max(0.0, (value - low) / (high - low)))
    return _SHADES[round(strength * 4)] * wide, heat(strength)


def _shrink(values: NDArray[np.floating], columns: int, rows: int) -> NDArray[np.floating]:
    """Blocks of cells merged until they fit; the value farthest from zero stands for its block, so that nothing strong is lost."""
    for axis, most in ((0, rows), (1, columns)):
        if values.shape[axis] > most:
            edges = np.linspace(0, values.shape[axis], most + 1).astype(int)[:-1]
            high, low = np.maximum.reduceat(values, edges, axis=axis), np.minimum.reduceat(values, edges, axis=axis)
            values = np.where(np.abs(high) >= np.abs(low), high, low)
    return values


def lines(series: Series, axes: tuple[str, str], scales: tuple[str, str], width: int) -> Text:
    """Several series over one pair of axes, joined by lines, each with its own marker."""
    return _plot(series, axes, scales, width, joined=_segment)


def points(series: Series, axes: tuple[str, str], width: int, x_scale: str = "linear") -> Text:
    """Groups of points, each with its own marker."""
    return _plot(series, axes, (x_scale, "linear"), width, joined=None)


def _plot(
    series: Series, axes: tuple[str, str], scales: tuple[str, str], width: int, joined: Callable[..., list[tuple[int, int]]] | None
) -> Text:
    from rich.text import Text

    drawn = {name: _finite(xs, ys, scales) for name, (xs, ys) in series.items()}
    (x_low, x_high), (y_low, y_high) = _limits(drawn, 0), _limits(drawn, 1)
    marks = [format.plain(_undo(value, scales[1])) for value in (y_low, y_high)]
    left = _widest(marks, width // 3)
    columns = max(1, width - left - 2)
    grid: list[list[tuple[str, str]]] = [[(" ", "")] * columns for _ in range(_HEIGHT)]
    for number, (xs, ys) in enumerate(drawn.values()):
        color = (EMBER, TEAL, *theme.LIGHT.categories[1:4])[number % 5]
        cells = list(zip(_place(xs, x_low, x_high, columns), _place(ys, y_low, y_high, _HEIGHT), strict=True))
        if joined:
            for start, end in itertools.pairwise(cells):
                for column, row in joined(start, end):
                    grid[_HEIGHT - 1 - row][column] = ("·", color)
        for column, row in cells:
            grid[_HEIGHT - 1 - row][column] = (_MARKERS[number % len(_MARKERS)], color)
    lines = [Text(fit(axes[1], width), style=QUIET)]
    for number, row in enumerate(grid):
        label = {0: marks[1], _HEIGHT - 1: marks[0]}.get(number, "")
        line = Text(fit(label.rjust(left), left) + " │", style=QUIET)
        for char, color in row:
            line.append(char, style=color)
        lines.append(line)
    ends = [format.plain(_undo(value, scales[0])) for value in (x_low, x_high)]
    space = max(1, columns - len(ends[0]) - len(ends[1]))
    lines.append(Text(fit(" " * (left + 2) + ends[0] + " " * space + ends[1], width), style=QUIET))
    lines.append(Text(fit(axes[0].rjust(width), width), style=QUIET))
    if len(drawn) > 1:
        lines.extend(Text(fit(f"{_MARKERS[number % len(_MARKERS)]} {name}", width)) for number, name in enumerate(drawn))
    return _join(lines)


def _finite(xs: Sequence[float], ys: Sequence[float], scales: tuple[str, str]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    pairs = np.array([xs, ys], dtype=np.float64)
    for row, scale in enumerate(scales):
        if scale == "log":
            pairs[row] = np.log10(np.where(pairs[row] > 0, pairs[row], np.nan))
    kept = pairs[:, np.isfinite(pairs).all(axis=0)]
    return kept[0], kept[1]


def _undo(value: float, scale: str) -> float:
    return 10**value if scale == "log" else value


def _limits(drawn: Mapping[str, tuple[NDArray[np.floating], NDArray[np.floating]]], axis: int) -> tuple[float, float]:
    everything = np.concatenate([pair[axis] for pair in drawn.values()] or [np.zeros(0)])
    return (float(everything.min()), float(everything.max())) if everything.size else (0.0, 1.0)


def _place(values: NDArray[np.floating], low: float, high: float, cells: int) -> list[int]:
    share = (values - low) / (high - low) if high > low else np.zeros(len(values))
    return np.rint(share * (cells - 1)).astype(int).tolist()


def _segment(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    return [tuple(round(a + (b - a) * step / steps) for a, b in zip(start, end, strict=True)) for step in range(steps)]  # type: ignore[misc]
