"""Parameters of a notebook: the assignments in its cell tagged `parameters`, replaced by given values."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from isinglass.core.errors import ConfigError, DataError, unknown
from isinglass.report.percent import Cell

TAG = "parameters"


def known(cells: Sequence[Cell], name: str) -> dict[str, str]:
    """The parameters of a notebook with their defaults as source; `name` is its file. Raises DataError where such a cell is no Python."""
    return {
        target: ast.get_source_segment(cell.source, node) or ""
        for cell in cells
        if _is_parameters(cell)
        for target, node in _assigned(cell, name)
    }


def filled(cells: Sequence[Cell], values: Mapping[str, Any], name: str) -> list[Cell]:
    """The cells with `values` in place of the defaults; comments and everything else stay.

    Values are None, truth values, finite numbers, texts, bytes, and lists, tuples and dicts of these.
    Raises ConfigError for an unknown name or a value that cannot be written down.

    >>> filled([Cell("code", "steps = 100  # of training", ("parameters",))], {"steps": 5}, "book.py")[0].source
    'steps = 5  # of training'
    """
    defaults = known(cells, name)
    for parameter, value in values.items():
        if parameter not in defaults:
            raise unknown("parameter", parameter, defaults, where=name)
        if not _can_be_written(value):
            raise ConfigError(
                f"parameter {parameter} = {value!r} of {name} is a {type(value).__name__}, which cannot be written into a notebook",
                hint="give None, a truth value, a finite number, a text, or lists and dicts of these; a path as str(path)",
            )
    return [replace(cell, source=_replaced(cell, values, name)) if _is_parameters(cell) else cell for cell in cells]


def _is_parameters(cell: Cell) -> bool:
    return cell.kind == "code" and TAG in cell.tags


def _assigned(cell: Cell, name: str) -> list[tuple[str, ast.expr]]:
    """What is assigned to single names at the top of the cell: (name, value), in order."""
    try:
        body = ast.parse(cell.source).body
    except (SyntaxError, ValueError) as fault:
        line = cell.line + (getattr(fault, "lineno", 1) or 1) - 1
        raise DataError(
            f"{name}:{line}: the cell of parameters is no Python: {getattr(fault, 'msg', fault)}", hint="keep only assignments in it"
        ) from None
    found = []
    for node in body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=target)], value=value)
                | ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value)
            ):
                found.append((target, value))
    return found


def _replaced(cell: Cell, values: Mapping[str, Any], name: str) -> str:
    lines = [line.encode("utf-8") for line in cell.source.split("\n")]  # columns of `ast` are bytes
    for target, node in reversed(_assigned(cell, name)):
        if target in values:
            first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
            written = lines[first][: node.col_offset] + repr(values[target]).encode("utf-8") + lines[last][node.end_col_offset :]
            lines[first : last + 1] = [written]
    return b"\n".join(lines).decode("utf-8")


def _can_be_written(value: Any) -> bool:
    """Whether `repr` gives Python that reads back as the same value."""
    if type(value) in (list, tuple):
        return all(map(_can_be_written, value))
    if type(value) is dict:
        return all(_can_be_written(key) and _can_be_written(item) for key, item in value.items())
    return value is None or type(value) in (bool, int, str, bytes) or (type(value) is float and math.isfinite(value))
