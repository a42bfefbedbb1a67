"""`isinglass study`: an assignment of the book, run for real, with its notebook, figures and README in one folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import option, verb
from isinglass.core.config import with_overrides
from isinglass.core.errors import ConfigError, IsinglassError
from isinglass.core.units import duration
from isinglass.show.table import Table

if TYPE_CHECKING:
    from isinglass.report.execute import CellDone
    from isinglass.studies.study import Study

EXAMPLES = (
    "isinglass study list",
    "isinglass study book-1 --out book/1",
    "isinglass study book-1 --out book/mine --data my-novel.txt",
    "isinglass study book-2 --out book/2 --quick --seed 1",
    "isinglass study all --out out/studies --set name=ada",
)
EVERYTHING = "all"
app = verb(
    "study",
    EXAMPLES,
    notes=[
        "The folder gets the notebook with its outputs, README.md with what was found, and figures/. Ctrl-C keeps the cells that are done.",
        "The notebooks need the package's extra: pip install 'isinglass[report]'",
    ],
)


@app.command(name="list")
def list_(
    *,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """The studies, and what can be set in each."""
    from isinglass.studies.study import studies

    rows = [
        {"study": one.name, "title": one.title, "notebook": one.notebook, "parameters": list(one.parameters())}
        for one in studies().values()
    ]
    shown = [{**row, "parameters": " ".join(row["parameters"])} for row in rows]
    notes = ["all: every study of the assignments in one tree, with a README and the ZIP to hand in"]
    table = Table(shown, title="Studies: isinglass study NAME --out FOLDER", columns=["study", "title", "parameters"], notes=notes)
    output.emit(Result(rows, parts=[table]))


@app.default
def study(
    name: Annotated[str, Parameter(help="One of: isinglass study list; or all, which makes the whole hand-in with its ZIP.")],
    /,
    *,
    out: Annotated[Path, option("The folder that is written; an earlier run of the same study there is replaced.")],
    data: Annotated[str | None, option("A file of your own, or a corpus by name; without it, the study's default.")] = None,
    model: Annotated[str | None, option("Where the study uses a trained model: an asset or a folder.")] = None,
    quick: Annotated[bool, option("The same cells with small counts: seconds in place of minutes.")] = False,
    seed: Annotated[int | None, option("Of everything random.")] = None,
    set: Annotated[tuple[str, ...], option("Another of the study's parameters: name=value. May be repeated.")] = (),
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Run a study into a folder."""
    with output.working("reading the study"):
        from isinglass.report.execute import Executed
        from isinglass.studies.study import studies, studying

    began, cells = time.perf_counter(), 0
    named = {"data": data, "model": model, "seed": seed}
    given = with_overrides({key: value for key, value in named.items() if value is not None}, set)
    for key in ("name", "out", "quick"):
        if key in given:
            if (key, name) == ("name", EVERYTHING):
                continue
            raise ConfigError(f"--set {key}: this is no parameter of a study", hint="isinglass study NAME --out FOLDER --quick")
    if name == EVERYTHING:
        _everything(out, given, quick, output)
        return
    events = studying(name, out=out, quick=quick, **given)
    with _progress(output, name) as tell, closing(events):  # type: ignore[type-var] # a generator
        for event in events:
            if not isinstance(event, Executed):
                cells = event.total
                tell(event)
    output.emit(_result(studies()[name], out, {**given, "quick": quick}, cells, time.perf_counter() - began))


def _everything(out: Path, given: dict[str, Any], quick: bool, output: Output) -> None:
    """Every study of the assignments in one tree. Raises IsinglassError at the end when one of them failed."""
    from isinglass.report.execute import CellDone
    from isinglass.studies.everything import AllDone, Began, Done, all_studies

    found = None
    with closing(all_studies(out=out, quick=quick, **given)) as events:  # type: ignore[type-var] # a generator
        for event in events:
            match event:
                case Began(study, number, total):
                    output.say(f"{study}: study {number} of {total}")
                case CellDone():
                    output.say(f"  cell {event.number} of {event.total}: {duration(event.seconds)}")
                case Done(study, folder, seconds, fault):
                    output.say(f"{study}: {'done' if fault is None else f'not whole: {fault.message}'}, {duration(seconds)}, {folder}")
                case AllDone():
                    found = event
    assert found is not None  # the last event
    rows = [
        {"study": one.study, "folder": str(one.folder), "seconds": round(one.seconds, 1), "whole": "yes" if one.fault is None else "no"}
        for one in found.studies
    ]
    table = Table(rows, title="All studies", units={"seconds": "seconds"}, notes=[f"to hand in: {found.zip}"])
    output.emit(Result({"folder": str(found.folder), "zip": str(found.zip), "studies": rows}, parts=[table]))
    failed = [one for one in found.studies if one.fault is not None]
    if failed:
        raise IsinglassError(
            f"{len(failed)} of {len(found.studies)} studies are not whole",
            details=[f"{one.study}: {one.fault.message}" for one in failed if one.fault is not None],
            hint="isinglass study NAME --out FOLDER runs one by itself",
        )


@contextmanager
def _progress(output: Output, name: str) -> Iterator[Callable[[CellDone], None]]:
    """What shows that cells are done: one line that changes, or, where stderr is no terminal, a line for each."""
    console = output.talk()
    if output.quiet or not console.is_terminal:
        yield lambda done: output.say(f"{name}: cell {done.number} of {done.total}, line {done.line}: {duration(done.seconds)}")
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("cells"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done: bar.update(task, total=done.total, completed=done.number)


def _result(done: Study, folder: Path, parameters: dict[str, Any], cells: int, seconds: float) -> Result:
    from isinglass.studies.study import FIGURES, README

    figures = sorted((folder / FIGURES).glob("*.svg"))
    notebook, readme = folder / done.notebook, folder / README
    data = {
        "study": done.name,
        "title": done.title,
        "parameters": parameters,
        "notebook": str(notebook),
        "readme": str(readme),
        "figures": [str(figure) for figure in figures],
        "cells": cells,
        "seconds": round(seconds, 3),
    }
    lines = [
        f"{readme}: what was found",
        f"{notebook}: {cells} cells, run in {duration(seconds)}",
        *([f"{folder / FIGURES}: {len(figures)} figures"] if figures else []),
    ]
    return Result(data, text="\n".join(lines))
