"""All studies that the assignments ask for, laid out as they want it: a tree of folders, a README for the whole, and the ZIP to hand in."""

from __future__ import annotations

import io
import shutil
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from isinglass.core.errors import ConfigError, IsinglassError
from isinglass.core.files import write_atomic
from isinglass.report.document import Document, Heading
from isinglass.report.execute import CellDone, Executed
from isinglass.show.table import Table
from isinglass.studies.study import README, studies, studying

#: Study -> its folder in the hand-in. The assignment fixes those of parts 2 and 3 and the bonus.
PLACES = {
    "theory": "part1",
    "tokenization": "part2/task1",
    "embeddings": "part2/task2",
    "cost": "part2/task3",
    "attention": "part3/task4",
    "design": "part3/task5",
    "attention-lab": "bonus/attention_visualization",
    "rag": "bonus/mini_rag",
}
#: The two notebooks of other weeks, beside the hand-in.
BESIDE = {"internals": "internals", "transformers": "transformers"}
#: Reports that the assignment wants one folder higher.
LIFTED = {"task4_research_report.pdf": "part3/task4", "task5_design_document.pdf": "part3/task5"}


@dataclass(frozen=True)
class Began:
    """A study begins: the `number`th of `total`."""

    study: str
    number: int
    total: int


@dataclass(frozen=True)
class Done:
    """One study is done; `fault` is why it is not whole."""

    study: str
    folder: Path
    seconds: float
    fault: IsinglassError | None = None


@dataclass(frozen=True)
class AllDone:
    """All studies: the folder to hand in, its ZIP, and what became of each."""

    folder: Path
    zip: Path
    studies: tuple[Done, ...]


def all_studies(
    *, out: str | Path, name: str = "isinglass", quick: bool = False, **parameters: Any
) -> Iterator[Began | CellDone | Done | AllDone]:
    """Run every study below `out`, telling each cell that is done; the last event says where everything is.

    The hand-in is `out/week3_assignment_NAME` with its ZIP beside it. A study that fails leaves what it had, is named in the README, and
    the others go on. When the iterator is closed, finished studies stay. An earlier run is replaced study by study.

    A parameter is given to the studies that know it. Raises ConfigError for one that none knows, for a name that no folder can have, and
    for a folder that holds something else.
    """
    if not name or not all(char.isalnum() or char in "-_." for char in name):
        raise ConfigError(f"name = {name!r}, expected letters, digits, - and _: it becomes part of a folder's name", hint="--set name=ada")
    root = Path(out).expanduser()
    folder = root / f"week3_assignment_{name}"
    strange = [path.name for path in root.iterdir() if path.name not in _ours(name)] if root.is_dir() else []
    if strange:
        raise ConfigError(
            f"out = {str(out)!r} holds {', '.join(sorted(strange)[:5])}, which no study wrote", hint="give a folder of its own"
        )
    wanted = {study: folder / place for study, place in PLACES.items()} | {study: root / place for study, place in BESIDE.items()}
    takes = {
        study: {key: parameters[key] for key in studies()[study].parameters() if key in parameters and key != "data"} for study in wanted
    }
    for key in parameters:
        if not any(key in given for given in takes.values()):
            raise ConfigError(f"parameter {key!r}: no study here takes it for all", hint="isinglass study list, then one study by itself")
    done: list[Done] = []
    for number, (study, place) in enumerate(wanted.items(), start=1):
        yield Began(study, number, len(wanted))
        began, fault = time.perf_counter(), None
        try:
            with closing(studying(study, out=place, quick=quick, **takes[study])) as events:  # type: ignore[type-var] # a generator
                yield from (event for event in events if not isinstance(event, Executed))
        except IsinglassError as found:
            fault = found
        done.append(Done(study, place, time.perf_counter() - began, fault))
        yield done[-1]
    _lift(folder)
    _readme(folder, done, quick)
    yield AllDone(folder, _zipped(folder), tuple(done))


def _ours(name: str) -> set[str]:
    """What a run writes into its folder."""
    return {f"week3_assignment_{name}", f"week3_assignment_{name}.zip", *BESIDE.values()}


def _lift(folder: Path) -> None:
    """Copy the reports to where the assignment looks for them."""
    for file, place in LIFTED.items():
        found = folder / place / file
        if found.is_file():
            shutil.copyfile(found, folder / "part3" / file)


def _readme(folder: Path, done: list[Done], quick: bool) -> None:
    """How to run, what is needed, and what each deliverable is."""
    titles = {name: study.title for name, study in studies().items()}
    rows = [
        {
            "study": one.study,
            "folder": str(one.folder.relative_to(folder)) if one.folder.is_relative_to(folder) else f"../{one.folder.name}",
            "about": titles[one.study],
            "files": ", ".join(_files(one.folder)),
            "seconds": round(one.seconds, 1),
        }
        for one in done
    ]
    faults = [f"- `{one.study}` is not whole: {one.fault.message}" for one in done if one.fault is not None]
    command = "isinglass study all" + (" --quick" if quick else "")
    parts = [
        f"Generated by `{command}` on {date.today()} from runs on this machine. Each folder has a README with what was found. "
        "The sentences are built from measured values by a program: read them, check them against the figures, and write what you hand in "
        "under your name in your own words.",
        Heading("How to run it"),
        "```console\n$ pip install 'isinglass[report,prices,rag]'\n$ isinglass assets get --default\n"
        "$ isinglass study all --out out/studies\n```",
        "One study by itself: `isinglass study NAME --out FOLDER`; `isinglass study list` names them. Notebooks open in Jupyter; the "
        'scripts run with `python tokenization_analysis.py` and `python mini_rag.py "a question"`.',
        Heading("What is where"),
        Table(rows, title="Deliverables", units={"seconds": "seconds"}),
        *(["\n".join(faults)] if faults else []),
    ]
    Document("Week 3: language models", parts).save(folder / README)


def _files(folder: Path) -> list[str]:
    """The deliverables of a study's folder by name; folders end in a slash."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [f"{path.name}/" if path.is_dir() else path.name for path in found if path.name != README and not path.name.endswith("_files")]


def _zipped(folder: Path) -> Path:
    """The folder as a ZIP beside it, written in one step."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder.parent))
    return write_atomic(folder.with_name(f"{folder.name}.zip"), held.getvalue())
