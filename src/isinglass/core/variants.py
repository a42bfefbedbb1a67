"""One small grammar for variants, and the folders that name them.

    name                                   masks/causal.py, with its defaults
    name(arg=value)                        rotary(base=500000)
    a & (b | ~c)                           where the family's objects define & | ~ (masks do)
    name(arg=other(arg=value))             rotary(scaling=llama3(factor=8))
    ./my_mask.py(arg=value)                a file of the user's

A family is a folder: `masks/sliding_window.py` *is* the name `sliding_window`. A module is imported only when its name is asked for,
and its card (the docstring) is read without importing it. Other packages add names through the entry point group
`isinglass.variants` (entry name `masks.checker`, value a module with `build`).
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import operator
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from isinglass.core.errors import VariantError, unknown

T = TypeVar("T")
_AS_ANNOTATED = ConfigDict(strict=True, arbitrary_types_allowed=True)  # an int may stand for a float, nothing else is converted
ENTRY_POINTS = "isinglass.variants"
_USER = "isinglass_user_"  # how the modules of the user's files begin
# a quoted text, which is left alone, or the path of a Python file
_QUOTED_OR_FILE = re.compile(r"""(?P<quoted>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|[\w./~-]*[\w-]\.py\b""")


@dataclass(frozen=True)
class Call:
    """`name(arg=value)` taken apart; `args` are in order, `kwargs` named."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        inner = [_show(a) for a in self.args] + [f"{k}={_show(v)}" for k, v in self.kwargs]
        return self.name + (f"({', '.join(inner)})" if inner else "")


@dataclass(frozen=True)
class Combined:
    """`left & right`, `left | right`, or `~left` (right is None)."""

    symbol: str
    left: Expression
    right: Expression | None = None

    def __str__(self) -> str:
        if self.right is None:
            return f"~{_bracket(self.left)}"
        return f"{_bracket(self.left)} {self.symbol} {_bracket(self.right)}"


Expression = Call | Combined
_OPERATORS = {"&": operator.and_, "|": operator.or_, "~": operator.invert}


def _bracket(node: Expression) -> str:
    return f"({node})" if isinstance(node, Combined) and node.right is not None else str(node)


def _show(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_show(v) for v in value) + "]"
    return str(value) if isinstance(value, Call | Combined) else repr(value)


def parse(text: str) -> Expression:
    """Read a variant expression.

    Raises VariantError with the place of the fault.

    >>> str(parse("causal&(sliding_window(256)|global_tokens(4))"))
    'causal & (sliding_window(256) | global_tokens(4))'
    """
    files: dict[str, str] = {}

    def stand_in(found: re.Match[str]) -> str:
        if found["quoted"]:
            return found.group()
        name = f"__file{len(files)}"
        files[name] = found.group()
        return name

    source = _QUOTED_OR_FILE.sub(stand_in, text.strip())
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError) as fault:
        place = f" at character {getattr(fault, 'offset', 0) or len(source) + 1}"
        raise VariantError(
            f"cannot read the variant {text!r}: {getattr(fault, 'msg', fault)}{place}",
            hint="write name, name(arg=value), or masks joined with & | ~",
        ) from None
    return _expression(tree.body, text, files)


def _expression(node: ast.expr, text: str, files: dict[str, str]) -> Expression:
    match node:
        case ast.Name(id=name):
            return Call(files.get(name, name))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            named = tuple((k.arg, _value(k.value, text, files)) for k in keywords if k.arg is not None)
            if len(named) == len(keywords):
                return Call(files.get(name, name), tuple(_value(a, text, files) for a in args), named)
        case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() as op, right=right):
            symbol = "&" if isinstance(op, ast.BitAnd) else "|"
            return Combined(symbol, _expression(left, text, files), _expression(right, text, files))
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            return Combined("~", _expression(operand, text, files))
    raise VariantError(
        f"cannot read the variant {text!r}: {ast.unparse(node)!r} is not a name or a call",
        hint="write name, name(arg=value), or masks joined with & | ~",
    )


def _value(node: ast.expr, text: str, files: dict[str, str]) -> Any:
    """An argument: a constant, a list or tuple of constants, or a nested variant."""
    if isinstance(node, ast.Name | ast.Call | ast.BinOp) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert)):
        return _expression(node, text, files)
    if isinstance(node, ast.List | ast.Tuple):
        return tuple(_value(item, text, files) for item in node.elts)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise VariantError(f"cannot read the variant {text!r}: {ast.unparse(node)!r} is not a constant") from None


class Family(Generic[T]):
    """The named variants of one abstract class: the modules of one folder, plus files and entry points of others.

    `package` is the dotted folder, `base` the abstract class as "module:Class" (imported only when something is built).
    """

    def __init__(self, package: str, base: str) -> None:
        self.package = package
        self.name = package.rpartition(".")[2]
        self.base_path = base

    @property
    def base(self) -> type[T]:
        module, _, name = self.base_path.partition(":")
        return getattr(importlib.import_module(module), name)

    @property
    def kind(self) -> str:
        """The singular used in messages: masks -> mask, caches -> cache."""
        return {"strategies": "strategy", "caches": "cache"}.get(self.name, self.name.removesuffix("s"))

    def files(self) -> dict[str, Path]:
        """Name -> file of every variant in the folder."""
        spec = importlib.util.find_spec(self.package)
        folders = list(spec.submodule_search_locations or ()) if spec else []
        found = {f.stem: f for folder in folders for f in Path(folder).glob("*.py") if not f.stem.startswith("_")}
        return dict(sorted(found.items()))

    def names(self) -> list[str]:
        """Every known name, sorted; imports nothing."""
        return sorted({*self.files(), *_entry_points(self.name)})

    def module(self, name: str, where: str = "") -> ModuleType:
        """Import the module behind a name or a `./file.py`."""
        if name.endswith(".py"):
            return _user_file(Path(name).expanduser())
        if name in self.files():
            return importlib.import_module(f"{self.package}.{name}")
        outside = _entry_points(self.name)
        if name in outside:
            return outside[name].load()
        raise unknown(self.kind, name, self.names(), where=where, more=f"isinglass explain {self.name}.{{name}}", error=VariantError)

    def resolve(self, value: T | str | Expression, *context: Any, where: str = "") -> T:
        """Turn a name, an expression, a file path, or an object of the right type into an object.

        `context` is what every `build` of this family gets first (`Dims` for parts of attention). Raises VariantError.
        """
        if isinstance(value, self.base):
            return value
        if isinstance(value, str):
            value = parse(value)
        if isinstance(value, Combined):
            return self._combine(value, context, where)
        if not isinstance(value, Call):
            raise VariantError(
                f"{where or self.kind}: {value!r} is not a {self.kind}",
                details=[f"expected a name, an expression such as {self.names()[0]!r}, or an object of class {self.base.__name__}"],
            )
        return self._build(value, context, where)

    def spelled(self, text: str) -> str:
        """One spelling for equal expressions of this family: arguments by name, defaults filled in, 4 as 4.0 where floats are meant.

        Nested variants likewise, where the module's NESTED says of which family an argument is; others keep their own spelling.
        """
        return str(self._spelled(parse(text)))

    def _spelled(self, call: Expression) -> Expression:
        if isinstance(call, Combined):
            return Combined(call.symbol, self._spelled(call.left), None if call.right is None else self._spelled(call.right))
        module = self.module(call.name)
        signature = inspect.signature(module.build)
        skipped = [name for name, p in signature.parameters.items() if p.default is p.empty][:1]
        bound = signature.bind_partial(*([None] * len(skipped)), *call.args, **dict(call.kwargs))
        bound.apply_defaults()
        kept = {k: v for k, v in bound.arguments.items() if k not in skipped and v is not None}
        hints, nested = get_type_hints(module.build), getattr(module, "NESTED", {})
        for name, value in kept.items():
            if name in nested:
                kept[name] = nested[name]._spelled(parse(str(value)))
            elif hints.get(name) in (float, float | None):
                kept[name] = float(value)  # 4 and 4.0 are the same there
        return Call(call.name, (), tuple(kept.items()))

    def _combine(self, node: Combined, context: tuple[Any, ...], where: str) -> T:
        sides = [self.resolve(side, *context, where=where) for side in (node.left, node.right) if side is not None]
        try:
            return _OPERATORS[node.symbol](*sides)
        except TypeError:
            raise VariantError(f"{where or self.kind}: {str(node)!r}: a {self.kind} cannot be joined with {node.symbol!r}") from None

    def _build(self, call: Call, context: tuple[Any, ...], where: str) -> T:
        build = self.module(call.name, where).build
        parameters = list(inspect.signature(build).parameters.values())[len(context) :]
        try:
            bound = inspect.signature(build).bind(*context, *call.args, **dict(call.kwargs))
        except TypeError as fault:
            takes = ", ".join(str(p).partition(":")[0] + ("" if p.default is p.empty else f"={p.default!r}") for p in parameters)
            raise VariantError(
                f"{where or self.kind}: {str(call)!r}: {fault}",
                details=[f"{call.name} takes: {takes or 'nothing'}"],
                hint=f"isinglass explain {self.name}.{call.name}",
            ) from None
        self._check_values(call, {p.name: bound.arguments[p.name] for p in parameters if p.name in bound.arguments}, build)
        built = build(*context, *call.args, **dict(call.kwargs))
        if not isinstance(built, self.base):
            raise VariantError(f"{call.name!r} built a {type(built).__name__}, expected a {self.base.__name__}")
        return built

    def _check_values(self, call: Call, given: Mapping[str, Any], build: Callable[..., Any]) -> None:
        """Compare what is given with the annotations of `build`, so that no `build` has to check types itself."""
        annotations = get_type_hints(build)
        for name, value in given.items():
            if name not in annotations:
                continue
            try:
                _adapter(annotations[name]).validate_python(value)
            except ValidationError as fault:
                told = fault.errors()[0]["msg"]
                raise VariantError(
                    f"{call.name}: {name} = {_show(value)}: {told}", hint=f"isinglass explain {self.name}.{call.name}"
                ) from None


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation, config=_AS_ANNOTATED)


@cache
def _entry_points(family: str) -> dict[str, metadata.EntryPoint]:
    found = metadata.entry_points(group=ENTRY_POINTS)
    return {e.name.partition(".")[2]: e for e in found if e.name.partition(".")[0] == family}


def user_files(objects: Iterable[Any]) -> list[Path]:
    """The files of the user's that the classes of objects come from; another process imports them before it unpickles such objects."""
    modules = (sys.modules[type(one).__module__] for one in objects)
    return [Path(str(module.__file__)) for module in modules if module.__name__.startswith(_USER)]


def import_user_files(paths: Iterable[Path]) -> None:
    """Import files as `Family` does when their path is given."""
    for path in paths:
        _user_file(path)


@cache
def _user_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(_USER + path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise VariantError(f"no file {str(path)!r}", hint="give the path of a Python file that defines build(dims, ...)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where pickle looks for its classes
    spec.loader.exec_module(module)
    if not callable(getattr(module, "build", None)):
        raise VariantError(f"{str(path)!r} defines no function build(dims, ...)")
    return module
