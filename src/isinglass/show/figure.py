"""`Figure`: a chart as a value. One Vega-Lite specification gives the page, the notebook, SVG and PNG; a sketch gives the terminal."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from isinglass.show import embed, theme
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.show.theme import LIGHT, Palette

if TYPE_CHECKING:
    from rich.console import RenderableType

_WIDTH = 640  # of a still picture, in pixels, unless the specification says another; a page gives its own width
_CLIP = re.compile(r"(?<=[\"#])clip\d+(?=[\")])")  # how Vega names the frames of a drawing
_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name, never fetched


class Figure(Showable):
    """A Vega-Lite specification with what a chart must say about itself.

    `spec` names colour ranges ("heatmap", "diverging", "category") instead of colours, so that it follows light and dark.
    `sketch` draws the terminal's version for a width; without one the terminal shows the data. Nothing is fetched when it is drawn.

    >>> from isinglass.show.marks.bars import bars
    >>> figure = bars([" Paris", " the"], [0.77, 0.03], title="Next token", axis="probability", unit="ratio")
    >>> figure.spec["data"]["values"][0]["value"]
    0.77
    """

    needs = (embed.VEGA, "figure")

    def __init__(
        self,
        spec: dict[str, Any],
        *,
        title: str,
        command: str | None = None,
        data: Table | None = None,
        notes: Sequence[str] = (),
        sketch: Callable[[int], RenderableType] | None = None,
    ) -> None:
        self._spec = embed.plain(spec)
        self._data, self._sketch = data, sketch
        self.title, self.command, self.notes = title, command, tuple(notes)

    @property
    def spec(self) -> dict[str, Any]:
        """The specification, as a copy."""
        return copy.deepcopy(self._spec)

    @property
    def data(self) -> Table | None:
        """The table twin."""
        return self._data

    def sketch(self, width: int) -> RenderableType:
        """The drawing for a terminal; the table where no drawing was given."""
        from rich.text import Text

        if self._sketch is not None:
            return self._sketch(width)
        return self._data.sketch(width) if self._data is not None else Text("(a chart without a sketch: save it as .html, .svg or .png)")

    def body_html(self, key: str) -> str:
        """The chart's element; `figure.js` draws it and follows light and dark."""
        configs = {"light": theme.vega_config(theme.LIGHT), "dark": theme.vega_config(theme.DARK)}
        return (
            f'<ig-figure role="img" aria-label="{embed.text(self.title)}">'
            f'<script type="application/json">{embed.script_json({"spec": self._spec, "configs": configs})}</script></ig-figure>'
        )

    def to_svg(self, palette: Palette = LIGHT) -> str:
        """The chart with its title and notes as SVG, drawn without a browser."""
        import vl_convert

        title = {"text": self.title, **({"subtitle": list(self.notes)} if self.notes else {})}
        spec = {"$schema": _SCHEMA, "width": _WIDTH, **self._spec, "title": title}
        config = theme.vega_config(palette) | {"background": palette.surface, "padding": 16}
        return _own_names(vl_convert.vegalite_to_svg(spec, config=config, allowed_base_urls=[]))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        # A still picture shows everywhere, also where scripts are refused or were lost when the notebook was saved.
        return {"text/plain": self.to_terminal(100, color=False), "image/svg+xml": self.to_svg(), "text/html": self._repr_html_()}

    def _repr_html_(self) -> str:
        command = f"<p><code>{embed.text(self.command)}</code></p>" if self.command else ""
        return f"<figure>{self.to_svg()}{command}</figure>"

    def to_csv(self) -> str:
        """The data as CSV; a figure without data gives an empty text."""
        return self._data.to_csv() if self._data is not None else ""

    def formats(self) -> dict[str, Callable[[], str | bytes]]:
        """Suffix -> maker; `.csv` only with data."""
        makers: dict[str, Callable[[], str | bytes]] = {
            ".html": self.to_html,
            ".json": lambda: embed.to_json({"$schema": _SCHEMA, **self._spec, "title": self.title}, indent=2) + "\n",
            ".png": self.to_png,
            ".svg": self.to_svg,
            ".txt": lambda: self.to_terminal(120, color=False) + "\n",
        }
        return makers | ({".csv": self.to_csv} if self._data is not None else {})


def _own_names(svg: str) -> str:
    """The drawing with names from its content instead of Vega's running number: the same figure gives the same bytes, and the names of
    two drawings on one page differ."""
    numbers = {name: place for place, name in enumerate(dict.fromkeys(_CLIP.findall(svg)))}
    digest = hashlib.sha256(_CLIP.sub("clip", svg).encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return _CLIP.sub(lambda found: f"clip-{digest}-{numbers[found.group()]}", svg)
