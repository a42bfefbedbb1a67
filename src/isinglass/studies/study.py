"""Study: an experiment that is run for real and leaves a folder with a notebook, figures and a README of what it found.

The sources stand in `book/` (the course's assignments) and `notebooks/`, in the `py:percent` form; they are data that this module has run,
and nobody imports them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isinglass.core.errors import ConfigError, DataError, IsinglassError, unknown
from isinglass.data.sources import is_corpus
from isinglass.report import parameters as settings
from isinglass.report import percent
from isinglass.report.document import Document
from isinglass.report.execute import CellDone, Executed, executing

README = "README.md"
FIGURES = "figures"
_FOLDER = Path(__file__).parent
_FILES = {"embeddings": "bert_embeddings"}  # where an assignment names the notebook


@dataclass(frozen=True)
class Study:
    """One study: the name it is asked for by, what it is about, and the notebook it is made of.

    >>> studies()["book-1"].notebook
    'assignment1.ipynb'
    """

    name: str
    title: str
    source: Path

    @property
    def notebook(self) -> str:
        """The file name of the notebook that was run."""
        return f"{self.source.stem.replace('assignment_', 'assignment', 1)}.ipynb"

    def parameters(self) -> dict[str, str]:
        """What can be set, with the defaults as they stand in the source. Raises DataError when the source cannot be read."""
        return settings.known(percent.read(self.source), str(self.source))


def studies() -> dict[str, Study]:
    """Every study by name: the course's assignments in their order, then the others."""
    titles = {  # the course's first, then the others in the order of the assignment that asks for them
        "book-1": "Assignment 1: text and tokens",
        "book-2": "Assignment 2: attention",
        "book-3": "Assignment 3: a GPT from scratch",
        "book-4": "Assignment 4: pretraining",
        "book-5-classification": "Assignment 5, option A: fine-tuning for classification",
        "book-5-instruction": "Assignment 5, option B: fine-tuning to follow instructions",
        "book-5-lora": "Assignment 5, option C: fine-tuning with few parameters (LoRA)",
        "alignment": "Alignment on two translations",
        "theory": "Transformers in eleven questions",
        "tokenization": "Three tokenizers on the same texts",
        "embeddings": "BERT embeddings and similarity",
        "cost": "What a support chatbot costs, and how to halve it",
        "attention": "A position scheme in depth",
        "design": "An application of language models, designed",
        "attention-lab": "Which word attends to which",
        "rag": "Answers with and without retrieval",
        "internals": "Inside a language model, token by token",
        "transformers": "From n-grams to Transformers, built and run",
    }
    return {name: Study(name, title, _source(name)) for name, title in titles.items()}


def study(name: str, *, out: str | Path, **options: Any) -> Document:
    """Run a study into the folder `out` and return its notebook with all outputs; takes what `studying` takes.

    >>> study("book-1", out="book/1", quick=True).title  # doctest: +SKIP
    'Assignment 1: text and tokens'
    """
    last = None
    with closing(studying(name, out=out, **options)) as events:  # type: ignore[type-var] # a generator
        for event in events:
            last = event
    if not isinstance(last, Executed):
        raise IsinglassError(f"study {name!r} ended without a result")
    return last.document


def studying(name: str, *, out: str | Path, quick: bool = False, **parameters: Any) -> Iterator[CellDone | Executed]:
    """Run a study into the folder `out`, telling each cell that is done; the last event holds the notebook with its outputs.

    The folder gets the notebook, `README.md` and `figures/`; an earlier run of the same study there is replaced. When a cell fails or
    the iterator is closed, the notebook keeps what ran until then. `quick` runs the same cells with small counts. The `parameters` are
    those of the study's source: `data` (a corpus by name, or a file of one's own), `model`, `seed`; paths may be relative.

    Raises ConfigError for an unknown study or parameter and for a folder that holds something else, DataError when there are no such
    data, and IsinglassError that names the line when a cell fails.
    """
    known = studies()
    if name not in known:
        raise unknown("study", name, known, more="isinglass study list")
    chosen, folder = known[name], Path(out).expanduser()
    given = {key: _located(key, value) for key, value in parameters.items()} | ({"quick": True} if quick else {})
    settings.filled(percent.read(chosen.source), given, f"study {name!r}")  # a wrong name is told before a folder is made
    _check_folder(folder, chosen, known)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise ConfigError(f"out = {str(out)!r}: {fault.strerror or fault}", hint="give a folder that can be written to") from None
    # no limit for one cell: a training may take hours
    yield from executing(chosen.source, out=folder / chosen.notebook, parameters=given, timeout_seconds=None, folder=folder)


def _source(name: str) -> Path:
    """Where the notebook of a study stands: book-5-lora is `book/assignment_5_lora.py`, alignment is `notebooks/alignment.py`."""
    folder, file = ("book", name.replace("book", "assignment", 1)) if name.startswith("book-") else ("notebooks", _FILES.get(name, name))
    return _FOLDER / folder / f"{file.replace('-', '_')}.py"


def _located(key: str, value: Any) -> Any:
    """A path that does not depend on where the notebook runs; whatever else it is stays as it is."""
    if not isinstance(value, str | Path) or is_corpus(value):
        return value
    path = Path(value).expanduser()
    if path.exists():
        return str(path.absolute())
    if key == "data":
        raise DataError(
            f"data = {str(value)!r}: there is no such file, folder or corpus", hint="give the path of a file, or the name of a corpus: kjv"
        )
    return str(value)


def _check_folder(folder: Path, chosen: Study, known: dict[str, Study]) -> None:
    """Raise ConfigError where a run would overwrite what is not its own."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"out = {str(folder)!r} is a file", hint="give a folder")
    others = [other.notebook for other in known.values() if other != chosen]
    mine = (folder / chosen.notebook).exists()
    held = [found for found in (*others, *(() if mine else (README, FIGURES))) if (folder / found).exists()]
    if held:
        raise ConfigError(
            f"out = {str(folder)!r} holds {', '.join(held)}, which study {chosen.name!r} did not write", hint="give a folder of its own"
        )
