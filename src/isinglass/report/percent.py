"""Notebooks as plain Python files (the `py:percent` form): cells that begin with a line `# %%`, Markdown cells in comments.

    # %% [markdown]
    # # A title
    # Some text.

    # %% tags=["parameters"]
    steps = 100

Read by Jupytext, VS Code, PyCharm and Spyder. Source: https://jupytext.readthedocs.io/en/latest/formats-scripts.html
"""

from __future__ import annotations

import ast
import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from isinglass.core.errors import DataError, unknown

_MARKER = re.compile(r"#\s?%%(?!\S)(?P<rest>.*)")
_TYPE = re.compile(r"(?:^|\s)\[(?P<type>\w+)\](?=\s|$)")
_TAGS = re.compile(r"(?:^|\s)tags=(?P<tags>\[[^\]]*\])")
_TYPES: dict[str, Literal["code", "markdown"]] = {"markdown": "markdown", "md": "markdown", "code": "code"}


@dataclass(frozen=True)
class Cell:
    """One cell: `source` without comment signs, `line` the line of the file on which it begins, counted from 1."""

    kind: Literal["code", "markdown"]
    source: str
    tags: tuple[str, ...] = ()
    line: int = 1


def read(path: str | Path) -> list[Cell]:
    """The cells of a file. Raises DataError when it cannot be read, or where a line is wrong."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(
            f"cannot read the notebook {str(path)!r}: {fault}", hint="give the path of a Python file with cells (# %%), saved as UTF-8"
        ) from None
    return parse(text, str(path))


def parse(text: str, name: str = "<text>") -> list[Cell]:
    """The cells of a text; `name` is what errors call it. Comments and a docstring before the first cell belong to the file, not to a cell.

    Raises DataError for an unknown type of cell, tags that are no list, or a line of Markdown that is no comment.

    >>> [(cell.kind, cell.source, cell.line) for cell in parse("# %% [markdown]\\n# Hello\\n\\n# %%\\n1 + 1\\n")]
    [('markdown', 'Hello', 2), ('code', '1 + 1', 5)]
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    starts = [number for number, line in enumerate(lines) if _MARKER.fullmatch(line)]
    first = starts[0] if starts else len(lines)
    before = [] if _is_header("\n".join(lines[:first])) else [_cell("", lines[:first], 0, name)]
    bounds = itertools.pairwise([*starts, len(lines)])
    return [*before, *(_cell(lines[start], lines[start + 1 : end], start + 1, name) for start, end in bounds)]


def _is_header(text: str) -> bool:
    """Whether a text holds nothing to run: only comments, and at most a docstring."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return False
    match body:
        case [] | [ast.Expr(value=ast.Constant(value=str()))]:
            return True
    return False


def _cell(marker: str, lines: list[str], above: int, name: str) -> Cell:
    """The cell under `marker`, of which `above` lines of the file stand before."""
    found = _MARKER.fullmatch(marker)
    rest, where = found["rest"] if found else "", f"{name}:{max(above, 1)}"
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    while lines and not lines[0].strip():
        lines, above = lines[1:], above + 1
    named = _TYPE.search(rest)
    kind = _TYPES.get(named["type"].lower()) if named else "code"
    if named and kind is None:
        raise unknown("type of cell", named["type"], _TYPES, where=where, error=DataError)
    source = "\n".join(lines) if kind == "code" else _markdown(lines, above, name)
    return Cell(kind or "code", source, _tags(rest, where), above + 1)


def _tags(rest: str, where: str) -> tuple[str, ...]:
    found = _TAGS.search(rest)
    if found is None:
        return ()
    try:
        tags = json.loads(found["tags"])
    except ValueError:
        tags = None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise DataError(f"{where}: tags={found['tags']!r} is no list of texts", hint='write tags=["parameters"]')
    return tuple(tags)


def _markdown(lines: list[str], above: int, name: str) -> str:
    """The text of a Markdown cell: in comments, or as one string in triple quotes."""
    whole = "\n".join(lines)
    quoted = re.fullmatch(r'r?("""|\'\'\')(.*)\1', whole.strip(), re.DOTALL)
    if quoted:
        return quoted[2].strip("\n")
    for number, line in enumerate(lines, start=above + 1):
        if line.strip() and not line.startswith("#"):
            raise DataError(f"{name}:{number}: a line of a Markdown cell is no comment: {line!r}", hint="begin the line with '# '")
    return "\n".join(re.sub(r"^# ?", "", line) for line in lines)
