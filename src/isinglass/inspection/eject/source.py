"""Pieces of our own source, cut out with their comments and edited in place: what is constant is filled in, what is dead is cut off."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from isinglass.core.errors import EngineError

_SHAPED = ("Float", "Int", "Bool")  # of jaxtyping: Float[Tensor, "batch time"]
_WIDTH = 110  # of docstrings
_UNKNOWN = object()
Span = tuple[int, int, str]  # of the source, in bytes, and what stands there instead


@dataclass(frozen=True)
class Edits:
    """What is changed in a piece.

    `replace`: an expression or a statement, as it is written -> its new text. A parameter that is replaced is no parameter any more, and
    tests that become constant decide which branch is kept. `drop`: parameters, named arguments, methods and assigned names that go.
    `unwrap`: the name of a function -> the number of the argument that a call of it becomes. `add`: parameters that `forward` gains.
    `rename`: "function.parameter" -> the parameter in its place.
    """

    replace: Mapping[str, str] = field(default_factory=dict)
    drop: frozenset[str] = frozenset()
    unwrap: Mapping[str, int] = field(default_factory=dict)
    base: str = "nn.Module"  # of a class; "" for none
    doc: str = ""  # in place of the docstring, or where there is none
    add: str = ""
    rename: Mapping[str, str] = field(default_factory=dict)


def piece(module: str, name: str, edits: Edits = Edits()) -> str:
    """The class, function or method (`Class.method`) of a module of ours, edited.

    EngineError when an expression that should be replaced is not there: then the source has changed and the edits have not.

    >>> print(piece("isinglass.nn.activations", "silu"))
    def silu(x: Tensor) -> Tensor:
        \"\"\"x * sigmoid(x), also called swish (Ramachandran et al. 2017).\"\"\"
        return x * torch.sigmoid(x)
    """
    source, tree = _parsed(module)
    editor = _Editor(source.encode(), edits)
    text = editor.cut(_found(tree, name))
    unused = sorted(set(edits.replace) - editor.used)
    if unused:
        raise EngineError(f"cannot eject {module}.{name}: its source no longer has {unused[0]!r}", hint="report this as a bug")
    return text


def card_line(module: str) -> str:
    """The first line of a variant's card with the paper behind it: the docstring of a class that leaves it to the card."""
    lines = (inspect.getdoc(importlib.import_module(module)) or "").splitlines()
    paper = next((line.partition(":")[2].strip() for line in lines if line.startswith("Paper:")), "")
    return f"{lines[0]}\n\nPaper: {paper}"


def _found(tree: ast.Module, name: str) -> ast.ClassDef | ast.FunctionDef:
    outer, _, inner = name.partition(".")
    # the last of that name: those before it are its overloads
    node = [n for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == outer][-1]
    return next(n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == inner) if inner else node


@cache
def _parsed(module: str) -> tuple[str, ast.Module]:
    source = inspect.getsource(importlib.import_module(module))
    return source, ast.parse(source)


class _Editor:
    """One piece of one file, with the edits that belong to it."""

    def __init__(self, source: bytes, edits: Edits) -> None:
        self.source, self.edits = source, edits
        self.used: set[str] = set()
        self.starts = [0, *(found.end() for found in re.finditer(rb"\n", source)), len(source)]

    def cut(self, node: ast.ClassDef | ast.FunctionDef) -> str:
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        text = self.applied(self.starts[first - 1], self.end(node), list(self.statement(node)))
        return textwrap.dedent(re.sub(r"\n\n\n+", "\n\n", text)).rstrip()

    # places

    def start(self, node: Any) -> int:
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node: Any) -> int:
        return self.starts[node.end_lineno - 1] + node.end_col_offset

    def lines(self, statement: ast.stmt) -> tuple[int, int]:
        """The whole lines of a statement, with its decorators and the comment lines above it."""
        first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", ()))]) - 1
        while self.source[self.starts[first - 1] : self.starts[first]].lstrip().startswith(b"#"):
            first -= 1
        return self.starts[first], self.starts[statement.end_lineno or statement.lineno]

    def written(self, node: ast.AST) -> str:
        return " ".join(self.source[self.start(node) : self.end(node)].decode().split())

    def applied(self, start: int, end: int, spans: Sequence[Span]) -> str:
        parts, place = [], start
        for begin, stop, text in sorted(spans):
            parts += [self.source[place:begin].decode(), text]
            place = stop
        return "".join([*parts, self.source[place:end].decode()])

    # statements

    def statement(self, node: ast.stmt) -> Iterator[Span]:
        new = self.replaced(node)
        if new is not None:
            yield self.start(node), self.end(node), new
        elif isinstance(node, ast.ClassDef):
            header_end = self.source.index(b":", self.end(node.bases[-1]) if node.bases else self.start(node)) + 1
            base = f"({self.edits.base})" if self.edits.base else ""
            yield self.start(node), header_end, f"class {node.name}{base}:{self._class_doc(node)}"
            yield from self.block(node.body, top=True)
        elif isinstance(node, ast.FunctionDef):
            yield self.start(node), self.source.index(b":", self.end(node.returns)) + 1, self.header(node)
            yield from self.block(node.body, top=node.col_offset == 0)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.IfExp) and isinstance(self.branch(node.value), ast.Tuple):
            chosen = self.text(self.branch(node.value))
            yield self.start(node.value), self.end(node.value), chosen[1:-1] if chosen.startswith("(") else chosen
        else:
            for child in ast.iter_child_nodes(node):
                yield from self.block([child]) if isinstance(child, ast.stmt) else self.expression(child)

    def block(self, statements: Sequence[ast.stmt], *, top: bool = False) -> Iterator[Span]:
        """The statements of a body; `top` is that of the piece itself, whose docstring may be given anew."""
        for number, node in enumerate(statements):
            if self.is_dropped(node):
                yield *self.lines(node), ""
            elif number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                text = self.replaced(node) or (self.edits.doc if top and self.edits.doc else str(node.value.value))
                yield self.start(node), self.end(node), docstring(text, node.col_offset)
            elif isinstance(node, ast.If) and self.value(node.test) is not _UNKNOWN:
                chosen = node.body if self.value(node.test) else node.orelse
                yield *self.lines(node), self._moved_out(chosen, node.col_offset)
                if chosen and isinstance(chosen[-1], ast.Return):  # what follows is never reached
                    for dead in statements[number + 1 :]:
                        yield *self.lines(dead), ""
                    return
            else:
                yield from self.statement(node)

    def is_dropped(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.FunctionDef):
            body = [each for each in node.body if not self.is_dropped(each)]
            empty = node.name == "__init__" and [self.written(each) for each in body] == ["super().__init__()"]
            return node.name in self.edits.drop or empty
        if isinstance(node, ast.AnnAssign):
            return self.written(node.target) in self.edits.drop
        if not isinstance(node, ast.Assign) or self.replaced(node) is not None:
            return False
        target = node.targets[0]
        names = [self.written(each) for each in (target.elts if isinstance(target, ast.Tuple) else [target])]
        # x = tapped(tap, "name", x) has become x = x
        return set(names) <= self.edits.drop or self.text(node.value) == self.written(target)

    def _moved_out(self, statements: Sequence[ast.stmt], column: int) -> str:
        if not statements:
            return ""
        text = self.applied(self.lines(statements[0])[0], self.lines(statements[-1])[1], list(self.block(statements)))
        return re.sub(rf"^ {{{statements[0].col_offset - column}}}", "", text, flags=re.MULTILINE)

    def _class_doc(self, node: ast.ClassDef) -> str:
        if ast.get_docstring(node) is not None or not self.edits.doc:
            return ""
        return f"\n{' ' * (node.col_offset + 4)}{docstring(self.edits.doc, node.col_offset + 4)}\n"

    def header(self, node: ast.FunctionDef) -> str:
        """The line of a function; shapes of its tensors become a comment."""
        given = [a for a in (*node.args.args, *node.args.kwonlyargs) if self.replaced(a) is None]
        kept = [a for a in given if a.arg not in self.edits.drop or f"{node.name}.{a.arg}" in self.edits.rename]
        parameters = [self.parameter(node, a) for a in kept]
        inner = ", ".join([*parameters, *([self.edits.add] if self.edits.add and node.name == "forward" else [])])
        shapes = [shape for a in kept if a.annotation is not None and (shape := _shape(a.annotation))]
        out = _shape(node.returns)
        comment = " -> ".join(dict.fromkeys([*shapes[:1], *([out] if out else [])])) if shapes or out else ""
        comment = f"-> {comment}" if comment and not shapes else comment
        return f"def {node.name}({inner}) -> {self.annotation(node.returns)}:" + (f"  # {comment}" if comment else "")

    def parameter(self, node: ast.FunctionDef, given: ast.arg) -> str:
        new = self.edits.rename.get(f"{node.name}.{given.arg}")
        if new is not None:
            return new
        return given.arg if given.annotation is None else f"{given.arg}: {self.annotation(given.annotation)}"

    def annotation(self, node: ast.expr | None) -> str:
        if node is None:
            return "None"
        if self.replaced(node) is not None:
            return str(self.replaced(node))
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in _SHAPED:
            return "Tensor"
        if isinstance(node, ast.BinOp):
            return f"{self.annotation(node.left)} | {self.annotation(node.right)}"
        return self.text(node)

    # expressions

    def text(self, node: ast.AST) -> str:
        return self.applied(self.start(node), self.end(node), list(self.expression(node)))

    def expression(self, node: ast.AST) -> Iterator[Span]:
        new = self.new_text(node)
        if new is not None:
            yield self.start(node), self.end(node), new
            return
        for child in ast.iter_child_nodes(node):
            yield from self.expression(child)
        if isinstance(node, ast.Call):
            yield from self._without_dropped(node)

    def new_text(self, node: ast.AST) -> str | None:
        new = self.replaced(node)
        if new is not None:
            return new
        if isinstance(node, ast.IfExp) and self.branch(node) is not None:
            return self.text(self.branch(node))
        if isinstance(node, ast.Call):
            called = self.written(node.func)
            if called in self.edits.unwrap:
                return self.text(node.args[self.edits.unwrap[called]])
            if called.endswith(".once") and isinstance(node.args[1], ast.Lambda):
                return self.text(node.args[1].body)  # remembered during one pass: here it is made where it is used
        return None

    def _without_dropped(self, call: ast.Call) -> Iterator[Span]:
        arguments = [*call.args, *call.keywords]
        for number, argument in enumerate(arguments):
            name = argument.arg if isinstance(argument, ast.keyword) else self.written(argument)
            if name in self.edits.drop and name not in self.edits.replace and number:
                yield self.end(arguments[number - 1]), self.end(argument), ""

    def replaced(self, node: ast.AST) -> str | None:
        if not hasattr(node, "lineno"):
            return None
        key = node.arg if isinstance(node, ast.arg) else self.written(node)
        if key not in self.edits.replace:
            return None
        self.used.add(key)
        return self.edits.replace[key]

    def branch(self, node: ast.IfExp) -> Any:
        """The half of a conditional expression that is always taken; None when that is open."""
        known = self.value(node.test)
        return None if known is _UNKNOWN else node.body if known else node.orelse

    def value(self, node: ast.expr) -> Any:
        """What an expression is, if that is known now."""
        new = self.replaced(node)
        if new is not None or isinstance(node, ast.Constant):
            try:
                return ast.literal_eval(new or self.written(node))
            except ValueError:
                return _UNKNOWN
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.value(node.operand)
            return _UNKNOWN if inner is _UNKNOWN else not inner
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Is | ast.IsNot):
            sides = self.value(node.left), self.value(node.comparators[0])
            return _UNKNOWN if _UNKNOWN in sides else (sides[0] is sides[1]) == isinstance(node.ops[0], ast.Is)
        return _UNKNOWN


def docstring(text: str, column: int) -> str:
    """The first sentence or two of a docstring, and the paper of a card, as a docstring that begins at `column`."""
    paragraphs = [" ".join(part.split()) for part in text.strip().split("\n\n")]
    kept = paragraphs[:1] + [part for part in paragraphs[1:] if part.startswith("Paper: ")]
    wrapped = [textwrap.wrap(part, _WIDTH - column - 3, break_on_hyphens=False) for part in kept]
    lines = [line for number, part in enumerate(wrapped) for line in ([""] if number else []) + part]
    if len(lines) == 1:
        return f'"""{lines[0]}"""'
    return "\n".join([f'"""{lines[0]}', *(f"{' ' * column}{line}".rstrip() for line in lines[1:]), f'{" " * column}"""'])


def _shape(node: ast.expr | None) -> str:
    """Float[Tensor, "*batch d_model"] -> (..., d_model)"""
    if isinstance(node, ast.BinOp):
        return _shape(node.left)
    if not (isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in _SHAPED):
        return ""
    words = ast.literal_eval(node.slice.elts[1]).split()  # type: ignore[attr-defined]
    return f"({', '.join('...' if word.startswith('*') else word.lstrip('#') for word in words)}{',' * (len(words) == 1)})"
