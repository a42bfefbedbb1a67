"""What the verbs share in how they are declared."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from cyclopts import App, Parameter

_WIDTH = 74
Model = Annotated[str, Parameter(help="An asset (isinglass assets list), a folder of Isinglass or Hugging Face, or a .gguf file.")]
Dtype = Annotated[str, Parameter(help="float32 or bfloat16.")]


def verb(name: str, examples: Sequence[str], *, notes: Sequence[str] = ()) -> App:
    """The app of one verb; its help ends with `notes` and the examples, which tests read from the same place."""
    return App(name=name, help_epilogue="\n".join([*notes, *([""] if notes else []), examples_text(examples)]))


def examples_text(examples: Sequence[str]) -> str:
    """Examples as they stand in help: a long one is continued with a backslash, so that a copy of it still runs."""
    lines = ["Examples:"]
    for example in examples:
        first, *options = re.split(r' (?=--?\w|")', example)
        rows = [first]
        for option in options:
            rows[-1:] = [f"{rows[-1]} {option}"] if len(rows[-1]) + len(option) < _WIDTH else [f"{rows[-1]} \\", f"  {option}"]
        lines += [f"  {row}" for row in rows]
    return "\n".join(lines)


def option(help: str, *names: str, **settings: Any) -> Parameter:
    """An option with its help line; a flag has no --no- twin."""
    return Parameter(name=names or None, help=help, negative=(), **{"show_default": _default, **settings})


def _default(value: Any) -> str | None:
    """A default as one would type it; none where there is nothing to say."""
    if isinstance(value, tuple):
        return ",".join(f"{one:g}" if isinstance(one, float) else str(one) for one in value) or None
    return None if value is None or value is False else str(value)


def at_least(least: float) -> Callable[[Any, Any], None]:
    """A validator of a number or of each number in a list."""

    def check(_: Any, value: Any) -> None:
        values = value if isinstance(value, tuple | list) else [value]
        if any(one is not None and not one >= least for one in values):
            raise ValueError(f"expected at least {least:g}")

    return check


def comma_separated(kind: type) -> Callable[[Any, Sequence[Any]], tuple[Any, ...]]:
    """A converter of `a,b,c` into a tuple."""

    def convert(_: Any, tokens: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(kind(part.strip()) for token in tokens for part in token.value.split(",") if part.strip())

    return convert


Numbers = Annotated[tuple[float, ...], Parameter(converter=comma_separated(float), n_tokens=1, negative=())]
Names = Annotated[tuple[str, ...], Parameter(converter=comma_separated(str), n_tokens=1, negative=())]
