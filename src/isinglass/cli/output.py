"""Where a verb's result goes: stdout for people or machines, and a file by suffix; talk and progress go to stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from isinglass.cli.verb import option
from isinglass.core.errors import unknown
from isinglass.show import embed, terminal
from isinglass.show.finding import Finding, formats
from isinglass.show.finding import save as write
from isinglass.show.showable import Showable
from isinglass.show.table import Table

if TYPE_CHECKING:
    from rich.console import Console

SUFFIXES = (".csv", ".html", ".json", ".md", ".png", ".svg", ".txt", ".xlsx")  # .xlsx only where a verb has a workbook
_SHOWN_ROWS = 200  # of a table in the terminal; files and --json hold all
_GROUP = Group("Output", sort_key=9)


@dataclass(frozen=True)
class Result:
    """What a verb found: `data` for machines, and for people either `parts` that show themselves or a plain `text`."""

    data: Any
    parts: Sequence[Showable] = ()
    text: str = ""
    more: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)  # further formats: suffix -> maker

    @classmethod
    def of(cls, finding: Finding, **more: Callable[[], bytes]) -> Result:
        """What the library found, as it is; `more` formats by name, such as xlsx=workbook.to_xlsx."""
        return cls(finding.data, finding.parts, more={f".{name}": maker for name, maker in more.items()})


@Parameter(name="*")
@dataclass(frozen=True)
class Output:
    """The three options of every verb."""

    json: Annotated[bool, option("Print the result as JSON, and nothing else, on stdout.", group=_GROUP)] = False
    save: Annotated[
        Path | None, option("Also write the result to a file; its suffix says the format: csv html json md png svg txt.", group=_GROUP)
    ] = None
    quiet: Annotated[bool, option("Say nothing on stderr unless something fails.", group=_GROUP)] = False

    def __post_init__(self) -> None:
        # before the work, not after it
        if self.save is not None and self.save.suffix.lower() not in SUFFIXES:
            raise unknown("file format", self.save.suffix, SUFFIXES, where=f"--save {self.save}")

    def talk(self) -> Console:
        """The console for what is said along the way."""
        return terminal.talk(quiet=self.quiet)

    def say(self, line: str) -> None:
        """One line of talk."""
        from rich.text import Text

        self.talk().print(Text(line, style="quiet"), soft_wrap=True)

    @contextmanager
    def working(self, doing: str) -> Iterator[None]:
        """A spinner on stderr while something takes a moment; nothing where stderr is no terminal."""
        console = self.talk()
        if self.quiet or not console.is_terminal:
            yield
            return
        from rich.text import Text

        with console.status(Text(f"{doing} …", style="quiet")):
            yield

    def emit(self, result: Result, *, printed: bool = False) -> None:
        """Print the result and save it if that was asked for. `printed`: people have seen it already, as a stream."""
        if self.json:
            print(embed.to_json(result.data, indent=2))
        elif not printed:
            print(result.text or "\n\n".join(_shortened(part).to_terminal() for part in result.parts))
        if self.save is not None:
            self.say(f"saved {save(result, self.save)}")


def save(result: Result, path: Path) -> Path:
    """Write a result in the format of the path's suffix, in one step. Raises ConfigError for a format the result does not have."""
    return write(_makers(result), path, f"--save {path}")


def _makers(result: Result) -> dict[str, Callable[[], str | bytes]]:
    if result.parts:
        return {**formats(result.data, result.parts), **result.more}
    text = result.text + "\n"
    return {".json": lambda: embed.to_json(result.data, indent=2) + "\n", ".txt": lambda: text, ".md": lambda: text}


def _shortened(part: Showable) -> Showable:
    """A long table as its first rows, with a line that says so."""
    if not isinstance(part, Table) or len(part) <= _SHOWN_ROWS:
        return part
    rows = part.rows
    notes = [*part.notes, f"the first {_SHOWN_ROWS:,} of {len(rows):,} rows: --save and --json hold all"]
    return Table(rows[:_SHOWN_ROWS], title=part.title, columns=part.columns, units=part.units, notes=notes, command=part.command)


def stdout_is_terminal() -> bool:
    """Whether a person is reading along."""
    return sys.stdout.isatty()
