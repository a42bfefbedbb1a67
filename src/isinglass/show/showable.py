"""`Showable`: what tables, figures, token strips and attention grids have in common, so that a report can hold any of them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isinglass.core import errors
from isinglass.core.files import write_atomic
from isinglass.show import embed, terminal
from isinglass.show.theme import LIGHT, Palette

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from isinglass.show.table import Table

_TWIN_ROWS = 200  # a table twin under a figure shows this many rows; its downloads hold all of them


class Showable(ABC):
    """A result that shows itself: in a terminal, as HTML, as a picture, and as its data.

    `title` states what is seen, `command` reproduces it, `notes` are lines printed below (limits of a scale, what was left out).
    """

    title: str
    command: str | None
    notes: tuple[str, ...]
    needs: tuple[str, ...] = ()  # names of what `embed.shared` must put on the page

    @property
    @abstractmethod
    def data(self) -> Table | None:
        """The same values as a table; None when there is nothing to tabulate."""

    @abstractmethod
    def sketch(self, width: int) -> RenderableType:
        """The body for a terminal, at most `width` columns wide."""

    @abstractmethod
    def body_html(self, key: str) -> str:
        """The body as HTML; `key` is unique on the page."""

    @abstractmethod
    def to_svg(self, palette: Palette = LIGHT) -> str:
        """A picture with title and notes, as SVG."""

    @abstractmethod
    def formats(self) -> Mapping[str, Callable[[], str | bytes]]:
        """What `save` can write: suffix -> maker."""

    def to_png(self, scale: float = 2, palette: Palette = LIGHT) -> bytes:
        """The picture as PNG, `scale` pixels per unit of the SVG."""
        import vl_convert

        return vl_convert.svg_to_png(self.to_svg(palette), scale=scale)

    def to_terminal(self, width: int | None = None, *, color: bool | None = None) -> str:
        """Title, sketch and notes as text, never wider than `width` (None: the window). NO_COLOR or a pipe gives plain text."""
        return terminal.render(self, width, color=color)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        yield Text(self.title, style=f"bold {terminal.EMBER}")
        yield self.sketch(max(1, options.max_width))
        for line in self.notes + ((f"$ {self.command}",) if self.command else ()):
            yield Text(line, style=terminal.QUIET)

    def html_fragment(self, key: str | None = None) -> str:
        """The card of this result for a page that holds `embed.shared(self.needs)` once. `key` None: made from the content."""
        name = key or "ig-" + hashlib.sha256(f"{type(self).__name__}{self.title}{self.command}".encode()).hexdigest()[:10]
        notes = "".join(f'<p class="ig-note">{embed.text(line)}</p>' for line in self.notes)
        command = f'<p class="ig-command" tabindex="0"><code>{embed.text(self.command)}</code></p>' if self.command else ""
        return (
            f'<figure class="ig ig-card" id="{embed.text(name)}"><figcaption>{embed.text(self.title)}</figcaption>\n'
            f'<div class="ig-body">{self.body_html(name)}</div>\n{notes}{self._twin_html()}{command}'
            f'<div class="ig-downloads" hidden></div></figure>'
        )

    def _twin_html(self) -> str:
        table = self.data
        if table is None:
            return ""
        rows = table.rows
        columns = [{"name": name, "values": [row.get(name) for row in rows]} for name in table.columns]
        data = f'<script type="application/json" class="ig-data">{embed.script_json({"title": self.title, "columns": columns})}</script>'
        if table is self:
            return data
        more = f'<p class="ig-note">The first {_TWIN_ROWS} of {len(rows):,} rows; the downloads hold all.</p>'
        rest = more if len(rows) > _TWIN_ROWS else ""
        return f"{data}<details><summary>The same as a table</summary>{table.grid_html(_TWIN_ROWS)}{rest}</details>"

    def to_html(self) -> str:
        """One self-contained HTML document that needs no network."""
        body = f'<main class="ig-alone">{self.html_fragment("figure")}</main>'
        return embed.document(self.title, body, self.needs)

    def save(self, path: str | Path) -> Path:
        """Write to `path` in the format of its suffix, in one step; returns the path.

        Raises ConfigError when the suffix is none of `formats()`.
        """
        path, known = Path(path), self.formats()
        maker = known.get(path.suffix.lower())
        if maker is None:
            raise errors.unknown("file format", path.suffix, known, where=f"save({str(path)!r})")
        content = maker()
        # a text with half a surrogate pair (broken bytes of a token) must not stop the writing
        return write_atomic(path, content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace"))

    def __str__(self) -> str:
        return self.to_terminal()

    def _repr_html_(self) -> str:
        return embed.shared(self.needs) + self.html_fragment()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": self.to_terminal(100, color=False), "text/html": self._repr_html_()}
