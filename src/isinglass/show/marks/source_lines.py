"""Source lines in the order in which they ran, each beside what it gave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isinglass.show import embed, format, terminal, textsvg
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.show.theme import LIGHT, Palette

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_BESIDE = 118  # columns from which on what a line gave stands beside it; below that it stands under it
_DEEPEST = 12  # calls within calls are indented up to here


@dataclass(frozen=True)
class SourceLine:
    """`place` is "file:line", `source` may be several lines; without a place it is a remark such as "layers 1 to 29: the same"."""

    place: str
    source: str
    depth: int = 0
    gave: tuple[str, ...] = ()

    @property
    def indent(self) -> int:
        return 2 * min(self.depth, _DEEPEST)


class SourceLines(Showable):
    """A listing of lines that ran; calls within calls are indented."""

    def __init__(self, rows: Sequence[SourceLine], *, title: str, command: str | None = None, notes: Sequence[str] = ()) -> None:
        self.rows = tuple(rows)
        self.title, self.command, self.notes = title, command, tuple(notes)

    @property
    def data(self) -> Table:
        rows = [
            {"step": number, "place": row.place, "depth": row.depth, "source": row.source, "gave": "; ".join(row.gave)}
            for number, row in enumerate(self.rows, start=1)
        ]
        return Table(rows, title=self.title, command=self.command)

    def sketch(self, width: int) -> RenderableType:
        """Place, line and what it gave in columns; in a narrow window what it gave stands under the line."""
        from rich.table import Table as Grid
        from rich.text import Text

        beside = width >= _BESIDE
        grid = Grid.grid(padding=(0, 2, 0, 0))
        room = max(12, width // 4)
        grid.add_column(style=terminal.QUIET, no_wrap=True, overflow="crop", max_width=room)
        grid.add_column(overflow="fold", ratio=1)
        if beside:
            grid.add_column(overflow="fold", max_width=width // 3)
        for row in self.rows:
            line = _indented(row)
            line.stylize(terminal.EMBER if not row.place else "")
            gave = Text("\n".join(format.visible(each) for each in row.gave), style=terminal.TEAL)
            if beside:
                grid.add_row(_ending(row.place, room), line, gave)
            else:
                under = [Text(f"{' ' * row.indent}  → {format.visible(each)}", style=terminal.TEAL) for each in row.gave]
                grid.add_row(_ending(row.place, room), Text("\n").join([line, *under]))
        return grid

    def body_html(self, key: str) -> str:
        lines = "\n".join(_row_html(row) for row in self.rows)
        heads = "".join(f'<th scope="col">{name}</th>' for name in ("where", "the line that ran", "what it gave"))
        return (
            f'<div class="ig-scroll" tabindex="0" role="group" aria-label="{embed.text(self.title)}">'
            f"<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
        )

    def to_svg(self, palette: Palette = LIGHT) -> str:
        """The terminal's listing as a picture."""
        return textsvg.render(self, palette, width=160)

    def formats(self) -> dict[str, Callable[[], str | bytes]]:
        """Suffix -> maker."""
        return {
            ".csv": lambda: self.data.to_csv(), ".html": self.to_html, ".json": lambda: self.data.to_json(),
            ".md": lambda: self.data.to_markdown() + "\n", ".png": self.to_png, ".svg": self.to_svg,
            ".txt": lambda: self.to_terminal(160, color=False) + "\n",
        }  # fmt: skip


def _indented(row: SourceLine) -> Text:
    from rich.text import Text

    return Text("\n".join(" " * row.indent + format.visible(line) for line in row.source.split("\n")))


def _ending(place: str, room: int) -> str:
    """A long place from its end, where the number of the line stands."""
    return place if len(place) <= room else f"…{place[1 - room :]}"


def _row_html(row: SourceLine) -> str:
    if not row.place:
        return f'<tr><td></td><td colspan="2" style="color:var(--ig-ember);padding-left:{row.indent}ch">{embed.text(row.source)}</td></tr>'
    gave = "\n".join(f"<div>{embed.text(each)}</div>" for each in row.gave)
    code = f'<code style="white-space:pre-wrap">{embed.text(_visible(row.source))}</code>'
    place = f'<td style="color:var(--ig-quiet);white-space:nowrap">{embed.text(row.place)}</td>'
    return f'<tr>{place}<td style="padding-left:{row.indent}ch;max-width:90ch">{code}</td><td style="color:var(--ig-teal)">{gave}</td></tr>'


def _visible(source: str) -> str:
    return "\n".join(format.visible(line) for line in source.split("\n"))
