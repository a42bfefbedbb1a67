"""Jupyter notebooks: text and results as Markdown cells, code as code cells with the outputs it had when it was run.

Source: the notebook file format 4.5, https://nbformat.readthedocs.io/en/latest/format_description.html
"""

from __future__ import annotations

import base64
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from isinglass.core.errors import ExtraMissing
from isinglass.core.files import write_atomic
from isinglass.report.document import Code, Document, Heading, Part
from isinglass.report.writer import Writer
from isinglass.report.writers import markdown
from isinglass.show.table import Table

if TYPE_CHECKING:
    from nbformat import NotebookNode

SUFFIX = ".ipynb"


def build() -> Writer:
    """The writer of `.ipynb`."""
    return NotebookWriter()


class NotebookWriter(Writer):
    """Pictures stand inside of the file. The same document gives the same bytes: cells are numbered instead of named at random."""

    def write(self, document: Document, path: Path) -> Path:
        """Raises ExtraMissing without nbformat."""
        node = notebook(document)
        import nbformat

        return write_atomic(path, nbformat.writes(node).encode("utf-8", "backslashreplace") + b"\n")


def notebook(document: Document) -> NotebookNode:
    """The document as a notebook, checked against the format.

    Raises ExtraMissing without nbformat.
    """
    try:
        import nbformat
        from nbformat import v4
    except ImportError:
        raise ExtraMissing("nbformat", "report") from None
    parts = list(document.parts)
    # the title stands in one cell with the text that follows, as people write it
    opening = parts.pop(0) if parts and isinstance(parts[0], str) else ""
    first = v4.new_markdown_cell("\n\n".join(filter(None, [f"# {document.title}", str(opening).strip("\n")])))
    cells = [first, *(_cell(part, number) for number, part in enumerate(parts, start=2))]
    for number, cell in enumerate(cells, start=1):
        cell["id"] = f"cell-{number}"
    made = v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "version": platform.python_version()},
            "title": document.title,
        },
    )
    nbformat.validate(made)
    return made


def _cell(part: Part, number: int) -> NotebookNode:
    import nbformat
    from nbformat import v4

    match part:
        case str():
            return v4.new_markdown_cell(part.strip("\n"))
        case Heading(text, level):
            return v4.new_markdown_cell(f"{'#' * level} {text}")
        case Code():
            outputs = [nbformat.from_dict(output.to_node(part.number)) for output in part.outputs]
            metadata = {"tags": list(part.tags)} if part.tags else {}
            return v4.new_code_cell(part.source, outputs=outputs, execution_count=part.number, metadata=metadata)
        case Table():
            return v4.new_markdown_cell(markdown.table(part))
    name = f"figure-{number:02d}.png"
    attached = {name: {"image/png": base64.b64encode(part.to_png()).decode("ascii")}}
    text = "\n\n".join([f"![{markdown.escaped(part.title)}](attachment:{name})", *markdown.command(part)])
    return v4.new_markdown_cell(text, attachments=attached)
