"""`Workbook`: sheets of cells with live formulas and charts. Every formula carries the value that it has now, so that a reader who does not
calculate sees the same figures."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from isinglass.core.errors import ConfigError, ExtraMissing
from isinglass.core.files import write_atomic

Kind = Literal["text", "usd", "rate", "percent", "count", "number", "input", "heading", "note"]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_CELL = re.compile(r"[A-Za-z]{1,3}[0-9]+")  # what would be read as a place, not as a name


@dataclass(frozen=True)
class Cell:
    """A value, or a `formula` (`=...`) with its value now. `name` is how formulas anywhere in the workbook may call it; cells that have
    one and no formula are what a user changes.

    Raises ConfigError for a name that no spreadsheet takes.
    """

    value: Any
    kind: Kind = "number"
    formula: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        if self.name and (not _NAME.fullmatch(self.name) or _CELL.fullmatch(self.name)):
            raise ConfigError(f"cell name {self.name!r}: expected letters, digits and _, and not the form of a place such as A1")


@dataclass(frozen=True)
class Chart:
    """Columns or lines over cells of its own sheet: `first` and `last` are rows (1 is the top), the others columns (0 is A)."""

    kind: Literal["column", "line"]
    title: str
    first: int
    last: int
    labels: int
    series: Mapping[str, int]
    x: str
    y: str


@dataclass(frozen=True)
class Sheet:
    """Rows from the top; `widths` of the columns in characters."""

    title: str
    rows: Sequence[Sequence[Cell | None]]
    widths: Sequence[int] = ()
    charts: Sequence[Chart] = field(default=())


@dataclass(frozen=True)
class Workbook:
    """Sheets in their order. `save` writes .xlsx."""

    title: str
    sheets: Sequence[Sheet]

    def save(self, path: str | Path) -> Path:
        """Write to `path` in one step. Raises ExtraMissing without XlsxWriter."""
        return write_atomic(Path(path), self.to_xlsx())

    def to_xlsx(self) -> bytes:
        """The file's bytes. Raises ExtraMissing without XlsxWriter."""
        try:
            import xlsxwriter
        except ImportError:
            raise ExtraMissing("XlsxWriter", "report") from None
        out = io.BytesIO()
        with xlsxwriter.Workbook(out, {"in_memory": True, "default_date_format": "yyyy-mm-dd"}) as book:
            book.set_properties({"title": self.title, "author": "Isinglass"})
            formats = {kind: book.add_format(style) for kind, style in _STYLES.items()}
            for sheet in self.sheets:
                _write(book, sheet, formats)
        return out.getvalue()


_PAPER, _EMBER, _TEAL = "#FBFAF7", "#C2410C", "#0F766E"  # show/theme.py's, as a spreadsheet wants them
_STYLES: dict[str, dict[str, Any]] = {
    "text": {"text_wrap": True, "valign": "top"},
    "note": {"font_color": "#6B645A", "italic": True},
    "heading": {"bold": True, "bottom": 1, "bg_color": "#F1ECE3", "text_wrap": True, "valign": "top"},
    "usd": {"num_format": '"$"#,##0.00'},
    "rate": {"num_format": '"$"#,##0.000000'},
    "percent": {"num_format": "0.00%"},
    "count": {"num_format": "#,##0"},
    "number": {"num_format": "General"},
    "input": {"num_format": "General", "bg_color": "#FDE3C8", "font_color": "#5A1A06", "border": 1, "border_color": "#E4DFD6"},
}


def _write(book: Any, sheet: Sheet, formats: Mapping[str, Any]) -> None:
    page = book.add_worksheet(sheet.title)
    page.set_landscape()
    page.fit_to_pages(1, 0)  # printed, a sheet is as wide as the paper
    for column, width in enumerate(sheet.widths):
        page.set_column(column, column, width)
    for row, cells in enumerate(sheet.rows):
        if any(cell and cell.kind == "heading" and len(cell.value) > width for cell, width in zip(cells, sheet.widths, strict=False)):
            page.set_row(row, 30)  # two lines; not every program fits a row to its text
        for column, cell in enumerate(cells):
            if cell is None:
                continue
            style, value = formats[cell.kind], float(cell.value) if isinstance(cell.value, Decimal) else cell.value
            if cell.formula:
                page.write_formula(row, column, cell.formula, style, value)
            elif isinstance(value, str):
                page.write_string(row, column, value, style)  # a text that begins with = stays a text
            elif value is None:
                page.write_blank(row, column, None, style)
            else:
                page.write(row, column, value, style)
            if cell.name:
                book.define_name(cell.name, f"='{sheet.title}'!{place(row, column, fixed=True)}")
    for number, chart in enumerate(sheet.charts):
        page.insert_chart(len(sheet.rows) + 1 + 18 * number, 0, _chart(book, sheet.title, chart))


def _chart(book: Any, title: str, chart: Chart) -> Any:
    drawn = book.add_chart({"type": chart.kind})
    for (name, column), colour in zip(chart.series.items(), (_EMBER, _TEAL, "#0072B2", "#6B645A"), strict=False):
        drawn.add_series(
            {
                "name": name,
                "categories": [title, chart.first - 1, chart.labels, chart.last - 1, chart.labels],
                "values": [title, chart.first - 1, column, chart.last - 1, column],
                "fill": {"color": colour}, "line": {"color": colour},
            }
        )  # fmt: skip
    drawn.set_title({"name": chart.title, "overlay": False, "name_font": {"size": 12}})
    drawn.set_x_axis({"name": chart.x})
    drawn.set_y_axis({"name": chart.y, "num_format": '"$"#,##0', "major_gridlines": {"visible": True, "line": {"color": "#E4DFD6"}}})
    drawn.set_legend({"none": True} if len(chart.series) == 1 else {"position": "bottom"})
    drawn.set_size({"width": 760, "height": 340})
    return drawn


def place(row: int, column: int, *, fixed: bool = False) -> str:
    """The name of a cell, counted from 0.

    >>> place(0, 0), place(9, 27), place(9, 27, fixed=True)
    ('A1', 'AB10', '$AB$10')
    """
    letters, left = "", column + 1
    while left:
        left, digit = divmod(left - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return f"${letters}${row + 1}" if fixed else f"{letters}{row + 1}"
