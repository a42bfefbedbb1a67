"""Edits: changes to what a model computes, for one pass. The weights stay as they are, and no other pass sees the change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

import torch
from jaxtyping import Bool
from torch import Tensor

from isinglass.core.errors import ConfigError, EngineError, ShapeError
from isinglass.inspection.reading import Reading, padding
from isinglass.nn.tap import Tap

Value = float | int | Tensor
_CHANGES = ("set_to", "scale", "add", "patch_from")


class Source(Protocol):
    """Where a patch comes from: a `Trace`, or anything else that has tensors by the names of taps."""

    def __getitem__(self, name: str, /) -> Tensor: ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Edit:
    """One change of a tap, by exactly one of `set_to`, `scale`, `add` and `patch_from` (the same place of another trace).

    `head`, `position` and `row` say where, None everywhere. A position counts from a row's own first token, below 0 from its end. Keys and
    values have key-value heads. A `*` in the name stands for any part of it. Several edits of a tap act one after the other.

    >>> Edit(name="layers.3.attention.z", head=1, set_to=0)     # a head cut out: its output before the heads are mixed
    Edit(layers.3.attention.z, head 1, set_to 0)
    """

    name: str
    set_to: Value | None = None
    scale: float | None = None
    add: Value | None = None
    patch_from: Source | None = None
    head: int | None = None
    position: int | Sequence[int] | None = None
    row: int | None = None

    def __post_init__(self) -> None:
        given = [name for name in _CHANGES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigError(
                f"an edit of {self.name!r} has {' and '.join(given) or 'no change'}, expected exactly one of {', '.join(_CHANGES)}"
            )

    def __repr__(self) -> str:
        change = next(name for name in _CHANGES if getattr(self, name) is not None)
        value = getattr(self, change)
        told = f"{change} {value}" if isinstance(value, float | int) else f"{change} a {type(value).__name__}"
        where = [f"{name} {value}" for name in ("head", "position", "row") if (value := getattr(self, name)) is not None]
        return f"Edit({', '.join([self.name, *where, told])})"

    def matches(self, name: str) -> bool:
        return fnmatchcase(name, self.name)

    def apply(self, name: str, x: Tensor, reading: Reading) -> Tensor:
        """A new tensor; `x` stays as it is. ShapeError for a value that does not fit, EngineError for a place that does not exist."""
        return torch.where(self._where(name, x, reading), self._changed(name, x).to(x.dtype), x)

    def _changed(self, name: str, x: Tensor) -> Tensor:
        if self.scale is not None:
            return x * self.scale
        if self.patch_from is not None:
            other = self.patch_from[name]
            if other.shape != x.shape:
                raise ShapeError(
                    f"cannot patch {name}: here it is {list(x.shape)}, in the other trace {list(other.shape)}",
                    hint="both texts need the same number of tokens",
                )
            return other.to(x.device)
        value = torch.as_tensor(self.set_to if self.add is None else self.add, dtype=x.dtype, device=x.device)
        try:
            value = value.expand(x.shape)
        except RuntimeError:
            raise ShapeError(
                f"the value for {name} has shape {list(value.shape)}, which does not fit {list(x.shape)}",
                hint="give a number, a vector of the last dimension, or a tensor of the same shape",
            ) from None
        return value if self.add is None else x + value

    def _where(self, name: str, x: Tensor, reading: Reading) -> Bool[Tensor, "..."]:
        """True at the places that change; broadcastable to x."""
        where = torch.ones([1] * x.ndim, dtype=torch.bool, device=x.device)
        if self.row is not None:
            where = where & _only([_index(self.row, x.shape[0], "row", name)], x, 0)
        if self.head is not None:
            if x.ndim != 4:
                raise EngineError(
                    f"{name} has no heads: its shape is {list(x.shape)}", hint="heads stand in attention.q, .k, .v, .scores, .weights, .z"
                )
            where = where & _only([_index(self.head, x.shape[1], "head", name)], x, 1)
        return where if self.position is None else where & self._positions(name, x, reading)

    def _positions(self, name: str, x: Tensor, reading: Reading) -> Bool[Tensor, "..."]:
        if x.ndim < 3:
            raise EngineError(f"{name} has no positions: its shape is {list(x.shape)}")
        text, axis = reading.text_of(name), x.ndim - 2
        wanted = [self.position] if isinstance(self.position, int) else list(self.position or ())
        chosen = torch.zeros(x.shape[0], x.shape[axis], dtype=torch.bool, device=x.device)
        for row, (start, length) in enumerate(zip(padding(text).tolist(), text.lengths, strict=True)):
            if self.row is None or row == self.row % x.shape[0]:
                chosen[row, [start + _index(place, length, "position", name) for place in wanted]] = True
        return chosen.view([x.shape[0], *[1] * (axis - 1), x.shape[axis], 1])


def _only(numbers: list[int], x: Tensor, axis: int) -> Bool[Tensor, "..."]:
    chosen = torch.zeros(x.shape[axis], dtype=torch.bool, device=x.device)
    chosen[numbers] = True
    return chosen.view([-1 if each == axis else 1 for each in range(x.ndim)])


def _index(number: int, size: int, what: str, name: str) -> int:
    if not -size <= number < size:
        raise EngineError(f"{what} {number} does not exist at {name}", details=[f"it has {what}s 0 to {size - 1}"])
    return number % size


class Editor:
    """A tap that edits, then shows what came of it to the tap behind it."""

    def __init__(self, edits: Sequence[Edit], reading: Reading, behind: Tap) -> None:
        self.edits, self.reading, self.behind = tuple(edits), reading, behind
        self.unused = set(self.edits)

    def wants(self, name: str) -> bool:
        return self.behind.wants(name) or any(edit.matches(name) for edit in self.edits)

    def __call__(self, name: str, x: Tensor) -> Tensor:
        for edit in self._of(name):
            x = edit.apply(name, x, self.reading)
            self.unused.discard(edit)
        return self.behind(name, x) if self.behind.wants(name) else x

    def _of(self, name: str) -> Iterator[Edit]:
        return (edit for edit in self.edits if edit.matches(name))
