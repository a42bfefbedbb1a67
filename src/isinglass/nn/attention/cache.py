"""Cache: where past keys and values live, so that each new token costs one step instead of the whole text again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from isinglass.nn.attention.mask import Mask, Reach
from isinglass.nn.attention.slots import Slots


@dataclass(frozen=True)
class CacheDims:
    """What a cache must hold: `batch` rows of up to `capacity` tokens in each of `n_layers` layers."""

    n_layers: int
    batch: int
    n_kv_heads: int
    d_head: int
    capacity: int
    dtype: torch.dtype = torch.float32
    device: torch.device | str = "cpu"

    @property
    def bytes_per_token(self) -> int:
        """Keys and values of one token of one row over all layers."""
        return 2 * self.n_layers * self.n_kv_heads * self.d_head * self.dtype.itemsize


class Cache(ABC):
    """One per call of generate; it belongs to the caller, never to the model.

    A forward pass calls `extend` once with the slots of the new tokens, then `update` once per layer.
    """

    length: int  # tokens seen so far, padding included

    @abstractmethod
    def extend(self, slots: Slots) -> Slots:
        """Note new tokens; the slots of all keys that `update` will return in this pass."""

    @abstractmethod
    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store new k, v (batch, kv_heads, time, d_head) of one layer; the k, v to attend to, in the order of the slots."""

    def supports(self, mask: Mask) -> str | None:
        """None = yes; else the reason, which becomes the error text."""
        return None if mask.causal else "a cache needs a causal mask: with others, past outputs would change"


class SlotStore:
    """Positions, validity and documents of `capacity` slots, written in place; shared by all caches."""

    def __init__(self, batch: int, capacity: int, device: torch.device | str) -> None:
        self.position = torch.zeros(batch, capacity, dtype=torch.long, device=device)
        self.valid = torch.ones(batch, capacity, dtype=torch.bool, device=device)
        self.document = torch.zeros(batch, capacity, dtype=torch.long, device=device)
        self.padded = self.packed = False

    def write(self, slots: Slots, places: slice | Tensor) -> None:
        self.position[:, places] = slots.position
        # a ring writes where something else stood, so "no padding" and "no document" are written down as well
        self.padded |= slots.valid is not None
        self.packed |= slots.document is not None
        if self.padded:
            self.valid[:, places] = True if slots.valid is None else slots.valid
        if self.packed:
            self.document[:, places] = 0 if slots.document is None else slots.document

    def read(self, places: slice | Tensor, prefix_length: Tensor | None = None) -> Slots:
        return Slots(
            self.position[:, places],
            self.valid[:, places] if self.padded else None,
            self.document[:, places] if self.packed else None,
            prefix_length,
        )

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order; one may be taken several times."""
        self.position, self.valid, self.document = self.position[rows], self.valid[rows], self.document[rows]


def finite_reach(mask: Mask) -> Reach | None:
    """The reach of a mask that looks back a bounded way, else None."""
    return mask.reach if mask.causal and mask.reach.back is not None else None
