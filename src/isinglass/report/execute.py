"""Run a notebook for real: the cells of a `py:percent` file, one after the other, in a fresh kernel of this interpreter."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isinglass.core.errors import ConfigError, ExtraMissing, IsinglassError
from isinglass.report import outputs, percent
from isinglass.report.document import Code, Document, Part
from isinglass.report.parameters import filled
from isinglass.report.percent import Cell
from isinglass.report.writers import writer_for

if TYPE_CHECKING:
    from nbclient import NotebookClient
    from nbformat import NotebookNode

_TITLE = re.compile(r"\A\s*#[ \t]+(?P<title>[^\n]*?)[ \t]*(?:\n+|\Z)")

_PLACE = re.compile(r" \(\d+\.py, line \d+\)$")  # IPython's name for a cell that is no Python


@dataclass(frozen=True)
class CellDone:
    """One code cell was run: the `number`th of `total`, which begins at `line` of its file."""

    number: int
    total: int
    line: int
    seconds: float


@dataclass(frozen=True)
class Executed:
    """All cells were run; `path` is where the document was saved, None when that was not asked for."""

    document: Document
    path: Path | None


def execute(path: str | Path, **options: Any) -> Document:
    """Run the notebook in `path` and return it with its outputs; takes what `executing` takes.

    >>> with open("sum.py", "w") as file:
    ...     _ = file.write("# %% [markdown]\\n# # Sums\\n\\n# %% tags=['parameters']\\nn = 2\\n\\n# %%\\nprint(n + 1)\\n".replace("'", '"'))
    >>> execute("sum.py", parameters={"n": 41}).parts[1].outputs[0].text
    '42\\n'
    """
    last = None
    for event in executing(path, **options):
        last = event
    if not isinstance(last, Executed):
        raise IsinglassError(f"{path}: the notebook ended without a result")
    return last.document


def executing(
    path: str | Path,
    *,
    out: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    timeout_seconds: float | None = 600.0,
    folder: str | Path | None = None,
) -> Iterator[CellDone | Executed]:
    """Run the notebook in `path`, telling each cell that is done; the last event holds the document.

    `out` is where it is saved, in the format of its suffix; when a cell fails or the iterator is closed, what ran until then is saved.
    `parameters` replace the assignments of its cell tagged `parameters`; `timeout_seconds` is for each cell, None waits for ever;
    `folder` is where it runs (None: the current one). The first heading is the document's title.

    Raises DataError for a file that is no notebook, ConfigError for an unknown parameter, suffix or folder, ExtraMissing without
    nbclient, and IsinglassError that names file, line and exception when a cell fails, takes too long, or ends its kernel.
    """
    name, out = str(path), None if out is None else Path(out)
    if out is not None:
        writer_for(out)  # a wrong suffix is told before hours of work
    if not Path(folder or ".").is_dir():
        raise ConfigError(f"folder = {str(folder)!r}: no such folder to run {name} in", hint=f"mkdir -p {folder}")
    cells = filled(percent.read(path), parameters or {}, name)
    nodes, client = _client(cells, timeout_seconds, Path(folder or "."))
    todo = [(cell, node, place) for place, (cell, node) in enumerate(zip(cells, nodes, strict=True)) if cell.kind == "code"]
    saved = False
    try:
        with client.setup_kernel(cleanup_kc=True):
            for number, (cell, node, place) in enumerate(todo, start=1):
                began = time.perf_counter()
                with _told(name, number, cell, node, out), _at_once(client):
                    client.execute_cell(node, place)
                yield CellDone(number, len(todo), cell.line, time.perf_counter() - began)
        document = _document(cells, nodes, Path(path).stem)
        written = document.save(out) if out is not None else None
        saved = True
        yield Executed(document, written)
    finally:
        if out is not None and not saved:
            _document(cells, nodes, Path(path).stem).save(out)


def _client(cells: Sequence[Cell], timeout_seconds: float | None, folder: Path) -> tuple[list[NotebookNode], NotebookClient]:
    """The cells as a notebook holds them, and what runs them in a kernel of this interpreter, whatever kernels are installed beside it."""
    try:
        import ipykernel.kernelspec  # noqa: F401 - the kernel itself, started as a process
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient
        from nbformat import v4
    except ImportError as fault:
        raise ExtraMissing(fault.name or "nbclient", "report") from None
    nodes = [
        v4.new_code_cell(cell.source, metadata={"tags": list(cell.tags)}) if cell.kind == "code" else v4.new_markdown_cell(cell.source)
        for cell in cells
    ]
    # without folders of kernels the manager offers the interpreter's own
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    client = NotebookClient(
        v4.new_notebook(cells=nodes), km=manager, timeout=None if timeout_seconds is None else max(1, round(timeout_seconds)),
        record_timing=False, startup_timeout=300, resources={"metadata": {"path": str(folder)}},
        # the kernel speaks to this process alone, over the loopback and signed; it need not warn that this is not encrypted
        extra_arguments=["--log-level=ERROR"],
    )  # fmt: skip
    return client.nb.cells, client


@contextmanager
def _told(name: str, number: int, cell: Cell, node: NotebookNode, out: Path | None) -> Iterator[None]:
    """Faults of a cell as errors that say where in the file it was."""
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    hint = f"the whole traceback is in {str(out)!r}" if out else "give out='run.ipynb' to keep the traceback and what ran before"
    try:
        yield
    except CellExecutionError as fault:
        line = _failed_line(cell, node)
        source = cell.source.split("\n")[line - cell.line].strip()
        said = _PLACE.sub("", f"{fault.ename}: {fault.evalue}").strip().removesuffix(":")
        raise IsinglassError(f"{name}:{line}: code cell {number} failed: {said}", details=[source], hint=hint) from None
    except CellTimeoutError:
        raise IsinglassError(
            f"{name}:{cell.line}: code cell {number} took longer than the limit for one cell", hint="give a larger timeout_seconds, or None"
        ) from None
    except DeadKernelError:
        raise IsinglassError(
            f"{name}:{cell.line}: code cell {number} ended its kernel", details=["it called exit, crashed, or memory ran out"],
            hint="run the cells one by one in an editor to see which line it is",
        ) from None  # fmt: skip


@contextmanager
def _at_once(client: NotebookClient) -> Iterator[None]:
    """A kernel that is still at work when its cell is given up is ended without waiting for it."""
    from jupyter_core.utils import ensure_event_loop
    from nbclient.exceptions import CellTimeoutError

    try:
        yield
    except (KeyboardInterrupt, CellTimeoutError):
        client.shutdown_kernel = "immediate"
        loop = ensure_event_loop()
        if not loop.is_running():  # inside of a notebook the waiting is done in another thread's loop, which ends with it
            # what still waits for the cell goes first, so that the kernel's sockets are closed under nobody
            waiting = asyncio.all_tasks(loop)
            for task in waiting:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
        raise


def _failed_line(cell: Cell, node: NotebookNode) -> int:
    """The line of the file at which the cell failed, from its traceback; the cell's first when the traceback does not say."""
    shown = "\n".join(output.text for output in outputs.from_nodes(node.outputs) if output.kind == "error")
    lines = [int(found) for found in re.findall(rf"Cell In\[{node.execution_count}\], line (\d+)", shown)]
    inside = [line for line in lines if line <= cell.source.count("\n") + 1]
    return cell.line + (inside[-1] if inside else 1) - 1


def _document(cells: Sequence[Cell], nodes: Sequence[NotebookNode], name: str) -> Document:
    """Text and code with its outputs; the first heading becomes the title."""
    parts: list[Part] = [
        Code(cell.source, outputs.from_nodes(node.outputs), node.execution_count, cell.tags, cell.line)
        if cell.kind == "code"
        else cell.source
        for cell, node in zip(cells, nodes, strict=True)
    ]
    found = _TITLE.match(parts[0]) if parts and isinstance(parts[0], str) else None
    if found is None:
        return Document(name, parts)
    rest = [str(parts[0])[found.end() :]] if found.end() < len(str(parts[0])) else []
    return Document(found["title"] or name, [*rest, *parts[1:]])
