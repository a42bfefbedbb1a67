"""Walk: a forward pass as the source lines that ran, in order, each beside the shapes and a few values of what it gave.

Python's own line tracing (`sys.settrace`) is on for the time of the pass, in this thread alone, for the files of `isinglass.models` and
`isinglass.nn`; torch's are passed over. It only reads: the logits are the same to the last bit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Literal

import torch
from torch import Tensor, nn

import isinglass
from isinglass.core.errors import EngineError, unknown
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt
from isinglass.inspection.folding import LAYER, folded
from isinglass.inspection.reading import Reading, reading, token_text
from isinglass.inspection.statements import Statement, statements
from isinglass.inspection.steps import Step, Value
from isinglass.nn.attention.layer import Attention
from isinglass.nn.feedforward_layer import FeedForward
from isinglass.nn.tap import Tap
from isinglass.show.finding import Finding
from isinglass.show.format import token
from isinglass.show.marks.source_lines import SourceLine, SourceLines
from isinglass.show.showable import Showable

_HOME = Path(isinglass.__file__).parent
_FOLDERS = tuple(f"{_HOME / name}/" for name in ("models", "nn"))
_TAPS = str(_HOME / "nn" / "tap.py")  # how one looks in: without a tap, a function that returns what it is given
Part = Literal["attention", "mlp", "all"]
PARTS: tuple[Part, ...] = ("attention", "mlp", "all")


@dataclass(frozen=True, eq=False)
class Walk(Finding):
    """All lines of one pass. Shown is layer `layer` of each stack; others are folded into remarks that say how they differ."""

    reading: Reading = field(repr=False)
    steps: tuple[Step, ...]
    logits: Tensor | None = field(repr=False)
    layer: int = 0
    part: Part = "all"
    command: str | None = None

    @property
    def shown(self) -> list[Step | str]:
        """The steps to read, with a remark where layers are folded."""
        return [item for item in folded(self.steps, self.layer) if isinstance(item, str) or self.part in ("all", item.part)]

    @property
    def parts(self) -> Sequence[Showable]:
        rows = [
            SourceLine("", item, 1) if isinstance(item, str) else SourceLine(item.place, item.source, item.depth, _gave(item))
            for item in self.shown
        ]
        texts = {"tokens": self.reading.rows} | ({"read": self.reading.source} if self.reading.target is not None else {})
        notes = [f"{name}: {'│'.join(token(token_text(self.reading.lm, id)) for id in rows.ids[0])}" for name, rows in texts.items()]
        n_shown = sum(bool(row.place) for row in rows)
        title = f"The forward pass, line by line: {len(self.steps):,} lines of isinglass ran, {n_shown:,} shown"
        return [SourceLines(rows, title=title, notes=notes, command=self.command)]

    @property
    def data(self) -> dict[str, Any]:
        shown = [{"folded": item} if isinstance(item, str) else _step_data(item) for item in self.shown]
        tokens = [{"id": id, "token": token_text(self.reading.lm, id)} for id in self.reading.rows.ids[0]]
        return {"tokens": tokens, "lines_run": len(self.steps), "steps": shown}


def _step_data(step: Step) -> dict[str, Any]:
    return {**vars(step), "values": [vars(value) for value in step.values]}


def _gave(step: Step) -> tuple[str, ...]:
    return tuple(str(value) for value in step.values)


def walk(
    lm: LM,
    text: Prompt,
    *,
    target: Prompt | None = None,
    layer: int = 0,
    part: Part = "all",
    values: int = 3,
    tap: Tap | None = None,
    command: str | None = None,
) -> Walk:
    """One pass over a text, line by line. `values` is how many first values of each tensor are kept.

    A `tap` that wants attention scores makes attention run step by step in the reference kernel (`WRITTEN_OUT`).
    Raises EngineError for an empty or too long text and a layer or part that does not exist.

    >>> import isinglass as ig
    >>> walk(ig.create("tiny"), "abc").steps[0].source
    'x = self.hidden(ids, slots=slots, cache=cache, tap=tap)'
    """
    if part not in PARTS:
        raise unknown("part", part, PARTS, error=EngineError)
    given = reading(lm, text, target)
    if not 0 <= layer < lm.config.n_layers:
        raise EngineError(f"layer {layer} does not exist", details=[f"this model has layers 0 to {lm.config.n_layers - 1}"])
    watcher = _Watcher(lm.model, values)
    with torch.inference_mode(), _tracing(watcher):
        logits = given.run(tap)
    return Walk(given, tuple(watcher.steps()), logits, layer, part, command)


class _WrittenOut:
    """A tap that changes nothing and wants attention scores, which the reference kernel alone writes down."""

    def wants(self, name: str) -> bool:
        return name.endswith("attention.scores")

    def __call__(self, name: str, x: Tensor) -> Tensor:
        return x


WRITTEN_OUT: Tap = _WrittenOut()


@contextmanager
def _tracing(watcher: _Watcher) -> Iterator[None]:
    """The trace function for a while; that of a debugger or of coverage comes back in any case."""
    before = sys.gettrace()
    sys.settrace(watcher.call)
    try:
        yield
    finally:
        sys.settrace(before)


@dataclass
class _Call:
    """A function of ours that is running: where it is, and the statement it is in."""

    depth: int
    layer: str | None
    part: str | None
    step: int | None = None  # its place among the steps


@dataclass
class _Open:
    """A step that is being written."""

    call: _Call
    function: str
    file: str
    statement: Statement
    values: tuple[Value, ...] = ()


class _Watcher:
    """The trace function: notes each statement when it starts, and what it gave when the next one starts or the function returns."""

    def __init__(self, model: nn.Module, n_values: int) -> None:
        self.modules = {id(module): name for name, module in model.named_modules()}
        self.n_values = n_values
        self.files: dict[str, dict[int, Statement]] = {}
        self.calls: list[_Call] = []
        self.noted: list[_Open] = []

    def steps(self) -> Iterator[Step]:
        for each in self.noted:
            call, statement = each.call, each.statement
            file = Path(each.file).relative_to(_HOME).as_posix()
            yield Step(file, statement.first, statement.source, call.depth, each.function, call.layer, call.part, each.values)

    def call(self, frame: FrameType, event: str, arg: object) -> Any:
        """A function is entered: one of ours is followed line by line."""
        if event != "call" or not _ours(frame.f_code):
            return None
        around = self.calls[-1] if self.calls else _Call(-1, None, None)
        module = frame.f_locals.get("self")
        name = self.modules.get(id(module), "")
        part = "attention" if isinstance(module, Attention) else "mlp" if isinstance(module, FeedForward) else around.part
        self.calls.append(_Call(around.depth + 1, name if LAYER.search(name) else around.layer, part))
        return self.line

    def line(self, frame: FrameType, event: str, arg: object) -> Any:
        """A line is reached, or the function is left."""
        here = self.calls[-1]
        if event == "line":
            statement = self._statement(frame)
            if statement is None or (here.step is not None and self._continued(here.step, statement, frame)):
                return self.line
            self._close(frame)
            here.step = len(self.noted)
            self.noted.append(_Open(here, frame.f_code.co_qualname, frame.f_code.co_filename, statement))
        elif event == "return":
            self._close(frame, arg)
            self.calls.pop()
        return self.line

    def _statement(self, frame: FrameType) -> Statement | None:
        file = frame.f_code.co_filename
        if file not in self.files:
            self.files[file] = statements(file)
        return self.files[file].get(frame.f_lineno)

    def _continued(self, step: int, statement: Statement, frame: FrameType) -> bool:
        """A statement of several lines is reached line by line; only the head of a loop is reached again for a new round."""
        return self.noted[step].statement is statement and statement.last > statement.first and frame.f_lineno != statement.first

    def _close(self, frame: FrameType, returned: object = None) -> None:
        """What the statement that ends here gave."""
        here = self.calls[-1]
        if here.step is None:
            return
        noted = self.noted[here.step]
        if noted.statement.returns:
            noted.values = tuple(self._values("returned", returned))
        elif not noted.statement.ends_before(frame.f_lineno):
            held = [(name, frame.f_locals[name]) for name in noted.statement.names if name in frame.f_locals]
            noted.values = tuple(value for name, held_value in held for value in self._values(name, held_value))

    def _values(self, name: str, held: object) -> Iterator[Value]:
        if isinstance(held, Tensor):
            yield _tensor_value(name, held, self.n_values)
        elif isinstance(held, tuple) and held and all(isinstance(each, Tensor) for each in held):
            for number, each in enumerate(held):
                yield _tensor_value(f"{name}[{number}]", each, self.n_values)
        else:
            yield Value(name, repr(held) if held is None or isinstance(held, bool | int | float | str) else f"a {type(held).__name__}")


def _ours(code: CodeType) -> bool:
    """Functions of the model's files; comprehensions and lambdas belong to the line they stand on."""
    return code.co_filename.startswith(_FOLDERS) and code.co_filename != _TAPS and not code.co_name.startswith("<")


def _tensor_value(name: str, x: Tensor, n_values: int) -> Value:
    first = tuple(float(number) for number in x.flatten()[:n_values].tolist())
    finite = x.detach().float()
    finite = finite[finite.isfinite()] if x.is_floating_point() else finite
    spread = x.is_floating_point() and finite.numel() > 1
    mean, std = (float(finite.mean()), float(finite.std(unbiased=False))) if spread else (None, None)
    return Value(name, "", tuple(x.shape), str(x.dtype).removeprefix("torch."), first, mean, std)
