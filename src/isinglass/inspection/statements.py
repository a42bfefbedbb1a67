"""Statements of a source file: which one a line belongs to, and the names it gives values to."""

from __future__ import annotations

import ast
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """A simple statement, or the head of a compound one such as `for` and `if`. `names` are the variables it sets."""

    first: int
    last: int
    source: str
    names: tuple[str, ...]
    returns: bool
    body: range = range(0)  # the lines of a loop's body

    def ends_before(self, line: int) -> bool:
        """A loop's head that is left for this line gives nothing any more."""
        return bool(self.body) and line not in self.body


def statements(file: str) -> dict[int, Statement]:
    """Line number -> the innermost statement on it."""
    with tokenize.open(file) as opened:
        text = opened.read()
    lines, found = text.splitlines(), {}
    for node in ast.walk(ast.parse(text)):  # outer ones come first, so the innermost stays
        if not isinstance(node, ast.stmt) or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        last = _last_line(node)
        source = textwrap.dedent("\n".join(lines[node.lineno - 1 : last]))
        statement = Statement(node.lineno, last, source, tuple(dict.fromkeys(_names(node))), isinstance(node, ast.Return), _body(node))
        found |= dict.fromkeys(range(node.lineno, last + 1), statement)
    return found


def _body(node: ast.stmt) -> range:
    return range(node.body[0].lineno, (node.body[-1].end_lineno or 0) + 1) if isinstance(node, ast.For | ast.While) else range(0)


def _last_line(node: ast.stmt) -> int:
    """Of a compound statement that of its head."""
    if not hasattr(node, "body"):
        return node.end_lineno or node.lineno
    head = [part for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt) for part in ast.walk(child)]
    return max([node.lineno, *(end for part in head if (end := getattr(part, "end_lineno", None)) and not isinstance(part, ast.stmt))])


def _names(node: ast.stmt) -> Iterator[str]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.For):
        targets = [node.target]
    elif isinstance(node, ast.With):
        targets = [item.optional_vars for item in node.items if item.optional_vars is not None]
    for target in targets:
        yield from (part.id for part in ast.walk(target) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store))
