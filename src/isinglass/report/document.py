"""`Document`: what was done and found, in the order in which it is read; it is saved as Markdown, as a page or as a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from isinglass.core.errors import ConfigError
from isinglass.report.outputs import Output
from isinglass.show.showable import Showable


@dataclass(frozen=True)
class Heading:
    """A heading between parts; `level` 2 begins a section, 3 to 6 stand inside of one.

    Raises ConfigError for another level.
    """

    text: str
    level: int = 2

    def __post_init__(self) -> None:
        if self.level not in range(2, 7):
            raise ConfigError(f"heading {self.text!r}: level = {self.level!r}, expected 2 to 6", hint="level 1 is the document's title")


@dataclass(frozen=True)
class Code:
    """Python source with what it put out when it was run.

    `number` is its place in the order of execution (None: not run), `tags` are its cell's, `line` the line of its file where it begins.
    """

    source: str
    outputs: tuple[Output, ...] = ()
    number: int | None = None
    tags: tuple[str, ...] = ()
    line: int = 1


Part = str | Heading | Code | Showable  # a str is Markdown


class Document:
    """A frozen value: a title and parts, each Markdown text, a Heading, Code, or a result that shows itself (a Table, a Figure).

    Raises ConfigError for a part that is none of these.

    >>> from isinglass.show.table import Table
    >>> sizes = Table([{"part": "embedding", "total_bytes": 113_246_208}], title="Where the bytes are")
    >>> document = Document("A small model", ["Most of it is *embedding*."]).extended(Heading("Sizes"), sizes)
    >>> document.save("report/small.md").name
    'small.md'
    """

    def __init__(self, title: str, parts: Iterable[Part] = ()) -> None:
        self._title, self._parts = title, tuple(parts)
        for number, part in enumerate(self._parts, start=1):
            if not isinstance(part, str | Heading | Code | Showable):
                raise ConfigError(
                    f"document {title!r}: part {number} is a {type(part).__name__}, expected Markdown text, a Heading, Code, a Table or "
                    f"a Figure",
                    hint="turn it into a Table, or into text with str(...)",
                )

    @property
    def title(self) -> str:
        """What it is about."""
        return self._title

    @property
    def parts(self) -> tuple[Part, ...]:
        """What it says, in order."""
        return self._parts

    def extended(self, *parts: Part) -> Document:
        """A new document with more parts at its end."""
        return Document(self._title, (*self._parts, *parts))

    def save(self, path: str | Path) -> Path:
        """Write to `path` in the format of its suffix (.md, .html, .ipynb); returns the path. Half a file is never left behind.

        Raises ConfigError for a suffix that no writer has, ExtraMissing when the writer's package is not installed.
        """
        from isinglass.report.writers import writer_for

        return writer_for(Path(path)).write(self, Path(path))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Document) and (self._title, self._parts) == (other._title, other._parts)

    def __hash__(self) -> int:
        return hash((self._title, len(self._parts)))

    def __repr__(self) -> str:
        return f"Document({self._title!r}, {len(self._parts)} parts)"
