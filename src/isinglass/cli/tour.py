"""`isinglass tour`: one real model from end to end, told in the terminal and written as a report."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Model, Names, at_least, option, verb
from isinglass.core.errors import IsinglassError
from isinglass.show import terminal

if TYPE_CHECKING:
    from rich.console import Console

    from isinglass.generation.lm import LM
    from isinglass.studies.tour.station import Visited

EXAMPLES = (
    "isinglass tour",
    "isinglass tour --only next_token,attention",
    "isinglass tour --only training --steps 1000",
    "isinglass tour --out reports/smollm2 --json",
)
app = verb("tour", EXAMPLES, notes=["Ctrl-C stops the tour and keeps the report of the stations that are done."])
_PROSE_WIDTH = 92  # columns: longer lines are hard to read


@app.default
def tour(
    *,
    out: Annotated[Path, option("The folder of the report.")] = Path("out/tour"),
    model: Model = "smollm2",
    only: Annotated[Names, option("Comma-separated stations; without it, all.")] = (),
    steps: Annotated[
        int | None, option("Of the small model that the tour trains; half a minute's without it.", validator=at_least(1))
    ] = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """One real model, end to end: a story here and a report to open."""
    check_folder(out)
    began = time.perf_counter()
    with _progress(output, f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.studies.tour.report import facts
        from isinglass.studies.tour.station import chosen

        total = len(chosen(only))
        lm = load(model)
    told = None if output.json else terminal.results()
    if told is not None:
        begin(told, lm)
    visited: list[Visited] = []
    path = out / "index.html"
    try:
        for stop in _visit(lm, only, steps, output):
            visited.append(stop)
            if told is not None:
                tell(told, len(visited), stop)
    finally:
        # also after Ctrl-C or a failure: what was seen is not lost
        if visited:
            _write(path, lm, visited, time.perf_counter() - began, total)
            output.say(f"{len(visited)} stations in the report {path}")
    parts = [item for stop in visited for item in (*stop.station.items, *stop.station.more)]
    output.emit(Result(facts(visited, path, time.perf_counter() - began), parts, text=f"\n{path}"))


def _visit(lm: LM, only: tuple[str, ...], steps: int | None, output: Output) -> Iterator[Visited]:
    """The stops as they are done, each with its progress on stderr while it lasts."""
    from isinglass.studies.tour.station import Entered, touring

    with ExitStack() as stack:
        for event in touring(lm, only, {"training": {"steps": steps}} if steps else {}):
            if isinstance(event, Entered):
                stack.enter_context(_progress(output, f"{event.number}/{event.total} {event.name.replace('_', ' ')}"))
            else:
                stack.close()
                yield event


@contextmanager
def _progress(output: Output, line: str) -> Iterator[None]:
    """A spinner; where stderr is a file or a pipe, a line."""
    if not output.talk().is_terminal:
        output.say(line)
    with output.working(line):
        yield


def begin(console: Console, lm: LM) -> None:
    """What this is, and what it runs on."""
    from rich.text import Text

    from isinglass.studies.tour.report import PRODUCT, describe

    console.print(Text(PRODUCT, style="ember"))
    for line in describe(lm).values():
        console.print(Text(line, style="quiet"))


def tell(console: Console, number: int, stop: Visited) -> None:
    """One station as a part of the story."""
    from rich.text import Text

    terminal.heading(console, f"{number}. {stop.station.title}")
    console.print(Text(stop.station.text), width=min(console.width, _PROSE_WIDTH))
    for item in stop.station.items:
        console.print()
        console.print(item)


def check_folder(folder: Path) -> None:
    """Raise IsinglassError, before the work, when a report cannot be written there."""
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not nearest.is_dir():
        raise IsinglassError(
            f"cannot write a report to {str(folder)!r}: {str(nearest)!r} is a file", hint="give another folder: --out FOLDER"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise IsinglassError(
            f"cannot write a report to {str(folder)!r}: no right to write in {str(nearest)!r}", hint="give another folder: --out FOLDER"
        )


def _write(path: Path, lm: LM, visited: list[Visited], seconds: float, total: int) -> None:
    from isinglass.studies.tour.report import write_report

    try:
        write_report(path, lm, visited, seconds=seconds, total=total)
    except OSError as fault:
        raise IsinglassError(f"cannot write {str(path)!r}: {fault.strerror or fault}") from None
