"""Mask: who may attend to whom, as a value. True = may attend. Join masks with & (both), | (either), ~ (not)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum

from jaxtyping import Bool
from torch import Tensor

from isinglass.nn.attention.slots import Slots


@dataclass(frozen=True)
class Reach:
    """How far a mask looks: at most `back` positions back and `ahead` forward (None = without end), and always at the `first` tokens.

    Caches read it: what is beyond the reach may be forgotten; kernels too: what is beyond it need not be computed.
    """

    back: int | None = None
    first: int = 0
    ahead: int | None = None


class Tile(Enum):
    """What a rectangle of the attention matrix holds: nothing allowed, everything allowed, or some of each."""

    EMPTY = "empty"
    FULL = "full"
    MIXED = "mixed"


class Mask(ABC):
    """A rule on pairs of slots. Subclasses are frozen dataclasses: equal rules are equal values."""

    causal: bool = False  # promises that no query sees a later key
    reach: Reach = Reach()

    @abstractmethod
    def allow(self, q: Slots, k: Slots) -> Bool[Tensor, "#batch query key"]:
        """May each query slot attend to each key slot?"""

    def tile(self, q: range, k: range) -> Tile:
        """The kind of a rectangle of plain positions, without computing it; MIXED when in doubt."""
        return Tile.MIXED

    def __and__(self, other: Mask) -> Mask:
        return Both(self, other) if isinstance(other, Mask) else NotImplemented

    def __or__(self, other: Mask) -> Mask:
        return Either(self, other) if isinstance(other, Mask) else NotImplemented

    def __invert__(self) -> Mask:
        return Complement(self)


@dataclass(frozen=True)
class Both(Mask):
    """left & right."""

    left: Mask
    right: Mask

    @property
    def causal(self) -> bool:  # type: ignore[override]
        return self.left.causal or self.right.causal

    @property
    def reach(self) -> Reach:  # type: ignore[override]
        # what both allow lies within the shorter of the two reaches
        a, b = sorted((self.left.reach, self.right.reach), key=lambda r: (r.back is None, r.back))
        return Reach(a.back, a.first, b.ahead if a.ahead is None else a.ahead if b.ahead is None else min(a.ahead, b.ahead))

    def allow(self, q: Slots, k: Slots) -> Tensor:
        return self.left.allow(q, k) & self.right.allow(q, k)

    def tile(self, q: range, k: range) -> Tile:
        kinds = {self.left.tile(q, k), self.right.tile(q, k)}
        if Tile.EMPTY in kinds:
            return Tile.EMPTY
        return Tile.FULL if kinds == {Tile.FULL} else Tile.MIXED


@dataclass(frozen=True)
class Either(Mask):
    """left | right."""

    left: Mask
    right: Mask

    @property
    def causal(self) -> bool:  # type: ignore[override]
        return self.left.causal and self.right.causal

    @property
    def reach(self) -> Reach:  # type: ignore[override]
        a, b = self.left.reach, self.right.reach
        return Reach(_farther(a.back, b.back), max(a.first, b.first), _farther(a.ahead, b.ahead))

    def allow(self, q: Slots, k: Slots) -> Tensor:
        return self.left.allow(q, k) | self.right.allow(q, k)

    def tile(self, q: range, k: range) -> Tile:
        kinds = {self.left.tile(q, k), self.right.tile(q, k)}
        if Tile.FULL in kinds:
            return Tile.FULL
        return Tile.EMPTY if kinds == {Tile.EMPTY} else Tile.MIXED


def _farther(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else max(a, b)


@dataclass(frozen=True)
class Complement(Mask):
    """~inner."""

    inner: Mask

    def allow(self, q: Slots, k: Slots) -> Tensor:
        return ~self.inner.allow(q, k)

    def tile(self, q: range, k: range) -> Tile:
        return {Tile.EMPTY: Tile.FULL, Tile.FULL: Tile.EMPTY, Tile.MIXED: Tile.MIXED}[self.inner.tile(q, k)]


def visible(mask: Mask, q: Slots, k: Slots) -> Bool[Tensor, "#batch query key"]:
    """What the mask allows and padding leaves, computed once per forward pass for each pair of mask and slots."""
    return q.once((mask, id(k)), lambda: _visible(mask, q, k))


def _visible(mask: Mask, q: Slots, k: Slots) -> Tensor:
    allowed = mask.allow(q, k)
    return allowed if k.valid is None else allowed & k.valid[:, None, :]
