"""Taps: how one looks into a forward pass. A tap is passed with the call; the model keeps no hooks and no state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Tap(Protocol):
    """Asked for each named place of the forward pass; may return another tensor to put in its place."""

    def wants(self, name: str) -> bool: ...

    def __call__(self, name: str, x: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Scoped:
    """A tap that prefixes the names it is asked for, so that a layer need not know its number."""

    tap: Tap
    prefix: str

    def wants(self, name: str) -> bool:
        return self.tap.wants(self.prefix + name)

    def __call__(self, name: str, x: Tensor) -> Tensor:
        return self.tap(self.prefix + name, x)


def tapped(tap: Tap | None, name: str, x: Tensor) -> Tensor:
    """`x`, or what the tap puts in its place."""
    return tap(name, x) if tap is not None and tap.wants(name) else x
