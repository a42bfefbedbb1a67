"""`Table`: rows with names and units, the plain form of every result."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any

from isinglass.core import errors
from isinglass.show import embed, format, textsvg
from isinglass.show.showable import Showable
from isinglass.show.theme import LIGHT, Palette

if TYPE_CHECKING:
    from rich.console import RenderableType


class Table(Showable):
    """A frozen value: rows of named cells. `units` names the unit of a column ("bytes", "seconds", "ratio", "count", "usd", "flops", or any
    word, which goes into the heading); a column whose name ends in `_bytes`, `_seconds`, `_flops` or `_usd` says its unit itself.

    Raises ConfigError for a column or unit that no row has.

    >>> sizes = Table([{"part": "embedding", "total_bytes": 113_246_208}], title="Where the bytes are")
    >>> print(sizes.to_markdown())
    | part | total |
    | :--- | ---: |
    | embedding | 113.2 MB |
    >>> sizes.rows[0]["total_bytes"]
    113246208
    """

    def __init__(
        self,
        rows: Iterable[Mapping[str, Any]],
        *,
        title: str,
        columns: Sequence[str] | None = None,
        units: Mapping[str, str] | None = None,
        notes: Sequence[str] = (),
        command: str | None = None,
    ) -> None:
        self._rows = tuple(dict(row) for row in rows)
        present = list(dict.fromkeys(name for row in self._rows for name in row))
        self._columns = tuple(present if columns is None else columns)
        for name in (*self._columns, *(units or {})):
            if self._rows and name not in present:
                raise errors.unknown("column", name, present, where=f"the table {title!r}")
        self._units = {name: unit for name in self._columns if (unit := (units or {}).get(name) or format.unit_of(name))}
        self.title, self.notes, self.command = title, tuple(notes), command

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows as new dicts with the raw values; columns that are not shown are kept."""
        return [dict(row) for row in self._rows]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns shown, in order."""
        return self._columns

    @property
    def units(self) -> dict[str, str]:
        """Unit of each column that has one."""
        return dict(self._units)

    @property
    def data(self) -> Table:
        """Itself: a table is its own data."""
        return self

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and (self.title, self._columns, self._rows) == (other.title, other._columns, other._rows)

    def __hash__(self) -> int:
        return hash((self.title, self._columns, len(self._rows)))

    def headings(self) -> list[str]:
        """Headings as a person reads them."""
        return [format.heading(name, self._units.get(name)) for name in self._columns]

    def cells(self, limit: int | None = None) -> list[list[str]]:
        """The cells of the first `limit` rows (None: of all) as a person reads them."""
        return [[format.value(row.get(name), self._units.get(name)) for name in self._columns] for row in self._rows[:limit]]

    def is_number(self, column: str) -> bool:
        """Whether a column holds numbers (and so is set flush right)."""
        values = [row.get(column) for row in self._rows if row.get(column) is not None]
        return bool(values) and all(isinstance(value, Number) and not isinstance(value, bool) for value in values)

    def to_json(self) -> str:
        """Title, columns, units and raw rows."""
        content = {"title": self.title, "columns": self._columns, "units": self._units, "rows": self._rows, "notes": self.notes}
        return embed.to_json({**content, "command": self.command} if self.command else content, indent=2) + "\n"

    def to_csv(self) -> str:
        """Raw values, comma separated (RFC 4180), with a heading line."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self._columns)
        writer.writerows([["" if (cell := embed.plain(row.get(name))) is None else cell for name in self._columns] for row in self._rows])
        return out.getvalue()

    def to_markdown(self) -> str:
        """A pipe table; pipes, markup and line breaks in cells are escaped."""
        align = ["---:" if self.is_number(name) else ":---" for name in self._columns]
        lines = [self.headings(), align, *self.cells()]
        escaped = [line if line is align else [_markdown(cell) for cell in line] for line in lines]
        return "\n".join(f"| {' | '.join(line)} |" for line in escaped)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        # where a document is made from a notebook, a pipe table reads better than the terminal's
        return {**super()._repr_mimebundle_(include, exclude), "text/markdown": f"**{_markdown(self.title)}**\n\n{self.to_markdown()}"}

    def grid_html(self, limit: int | None = None) -> str:
        """The `<table>` element with its first `limit` rows."""
        kinds = [' class="ig-number"' if self.is_number(name) else "" for name in self._columns]
        head = "".join(f'<th scope="col"{kind}>{embed.text(cell)}</th>' for kind, cell in zip(kinds, self.headings(), strict=True))
        lines = ("".join(f"<td{kind}>{embed.text(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) for row in self.cells(limit))
        body = "\n".join(f"<tr>{line}</tr>" for line in lines)
        # the wrapper scrolls, so it must be reachable by keyboard
        return (
            f'<div class="ig-scroll" tabindex="0" role="group" aria-label="{embed.text(self.title)}">'
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def body_html(self, key: str) -> str:
        """The whole table."""
        return self.grid_html()

    def sketch(self, width: int) -> RenderableType:
        """A table when it fits, otherwise one field per line."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        headings, cells = self.headings(), [[format.visible(cell) for cell in row] for row in self.cells()]
        if 6 * len(headings) > width:
            return _records(headings, cells)
        grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), header_style="bold", width=None)
        for name, title in zip(self._columns, headings, strict=True):
            grid.add_column(Text(title), justify="right" if self.is_number(name) else "left", overflow="fold")
        for row in cells:
            grid.add_row(*map(Text, row))
        return grid

    def to_svg(self, palette: Palette = LIGHT) -> str:
        """The terminal's table as a picture, wide enough that nothing is folded."""
        return textsvg.render(self, palette, width=textsvg.natural_width(self))

    def formats(self) -> dict[str, Callable[[], str | bytes]]:
        """Suffix -> maker."""
        return {
            ".csv": self.to_csv, ".html": self.to_html, ".json": self.to_json, ".md": lambda: self.to_markdown() + "\n",
            ".png": self.to_png, ".svg": self.to_svg, ".txt": lambda: self.to_terminal(120, color=False) + "\n",
        }  # fmt: skip


def _markdown(cell: str) -> str:
    for char in "\\`*_[]|":
        cell = cell.replace(char, f"\\{char}")
    return cell.replace("&", "&amp;").replace("<", "&lt;").replace("\r\n", "<br>").replace("\n", "<br>").replace("\r", "<br>")


def _records(headings: list[str], cells: list[list[str]]) -> RenderableType:
    from rich.text import Text

    lines = [f"{heading}: {cell}" for row in cells for heading, cell in [*zip(headings, row, strict=True), ("", "")]]
    return Text("\n".join("" if line == ": " else line for line in lines).rstrip("\n"), overflow="fold")
