"""The terminal: results go to stdout, talk and progress to stderr; NO_COLOR is honoured and nothing is wider than the window."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from isinglass.show import theme

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

# Accents that are legible on both black and white terminals: at least 3:1 against each (tested).
EMBER = "#D9571E"
TEAL = "#12908A"
QUIET = "#857C70"
_BAR_WIDTH = 28


def results(*, width: int | None = None) -> Console:
    """The console for what was asked for (stdout)."""
    return _console(sys.stdout, width=width)


def talk(*, quiet: bool = False) -> Console:
    """The console for everything said along the way (stderr); quiet says nothing."""
    return _console(sys.stderr, quiet=quiet)


def _console(file: IO[str], *, width: int | None = None, quiet: bool = False) -> Console:
    from rich.console import Console
    from rich.theme import Theme

    accents = {
        "ember": f"bold {EMBER}",
        "teal": TEAL,
        "quiet": QUIET,
        "bar.complete": EMBER,
        "bar.finished": EMBER,
        "bar.pulse": EMBER,
        "progress.percentage": QUIET,
        "progress.remaining": QUIET,
        "progress.elapsed": QUIET,
        "table.header": "bold",
    }
    return Console(file=file, width=width, quiet=quiet, highlight=False, markup=False, emoji=False, theme=Theme(accents))


def heading(console: Console, text: str) -> None:
    """A heading in the ember accent with an empty line before it."""
    from rich.text import Text

    console.print()
    console.print(Text(text, style="ember"))


@contextmanager
def progress(description: str, total: float | None = None, *, console: Console | None = None) -> Iterator[Callable[[float], None]]:
    """A progress bar on stderr; yields `advance(amount)`. `total` None means: how much is not known. A quiet console shows nothing, a
    console that is not a terminal one line.

    >>> with progress("reading", 3, console=talk(quiet=True)) as advance:
    ...     for _ in range(3):
    ...         advance(1)
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = console or talk()
    if not console.is_terminal:
        console.print(f"{description} …")
        yield lambda amount: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(_BAR_WIDTH), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda amount: bar.advance(task, amount)


def render(renderable: RenderableType, width: int | None = None, *, color: bool | None = None) -> str:
    """What `renderable` looks like in `width` columns (None: of the window), as a string.

    `color` None means: as stdout can show it; a pipe or NO_COLOR gives plain text without escape sequences.
    """
    import io

    from rich.console import Console

    allowed = color if color is not None else (sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    probe = results()
    console = Console(
        file=io.StringIO(),
        force_jupyter=False,  # inside of a kernel Rich would show an empty output of its own beside the result
        width=max(1, width or probe.width),
        force_terminal=allowed,
        color_system="truecolor" if allowed else None,
        no_color=not allowed,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    with console.capture() as capture:
        console.print(renderable, crop=True, overflow="fold")
    lines = capture.get().rstrip("\n").split("\n")
    return "\n".join(lines if allowed else [line.rstrip() for line in lines])


def heat(position: float) -> str:
    """The colour of a weight 0..1 in a terminal: from quiet to ember, both legible on black and on white."""
    red, green, blue = (round(float(part)) for part in theme.ramp(position, (QUIET, EMBER)))
    return f"#{red:02x}{green:02x}{blue:02x}"
