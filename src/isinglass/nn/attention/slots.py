"""Slots: where each token stands. Passed along with the ids, so that padding, packing and prefixes need no special path."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Slots:
    """Position, validity, document and prefix length of each row's tokens.

    `valid` False is padding, whatever the mask says; `document` numbers packed documents; `prefix_length` is read by the prefix mask.
    """

    position: Int[Tensor, "batch time"]
    valid: Bool[Tensor, "batch time"] | None = None
    document: Int[Tensor, "batch time"] | None = None
    prefix_length: Int[Tensor, "batch"] | None = None
    _computed: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def first(cls, ids: Int[Tensor, "batch time"], start: int = 0) -> Slots:
        """Slots of rows without padding: positions start, start + 1, ..."""
        positions = torch.arange(start, start + ids.shape[1], device=ids.device)
        return cls(positions.expand(ids.shape[0], -1))

    def part(self, places: slice) -> Slots:
        """The slots of a stretch of time."""
        valid = None if self.valid is None else self.valid[:, places]
        document = None if self.document is None else self.document[:, places]
        return Slots(self.position[:, places], valid, document, self.prefix_length)

    @property
    def plain(self) -> bool:
        """Nothing but positions: neither padding, nor documents, nor prefixes."""
        return self.valid is None and self.document is None and self.prefix_length is None

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """`compute()` the first time, its result after: tables and masks are made once per call, not once per layer.

        Slots belong to one forward pass, so nothing is shared between calls or threads.
        """
        if key not in self._computed:
            self._computed[key] = compute()
        return self._computed[key]


def first_place(q: Slots, k: Slots) -> int | None:
    """The place of the first query among the keys, when in each row places and positions count up together.

    Padding may stand anywhere. None for packed rows, rings of a cache, and rows that would need different places.
    """
    # position - place: the same for all tokens of a row that counts up
    shift = k.position - torch.arange(k.position.shape[1], device=k.position.device)
    valid = torch.ones_like(shift, dtype=torch.bool) if k.valid is None else k.valid
    of_row = shift.masked_fill(~valid, torch.iinfo(shift.dtype).min).amax(dim=1, keepdim=True)
    places = q.position - of_row - torch.arange(q.position.shape[1], device=q.position.device)
    places = places[q.valid] if q.valid is not None else places.flatten()
    if bool(((shift != of_row) & valid).any()) or places.numel() == 0 or bool((places != places[0]).any()):
        return None
    start = int(places[0])
    return start if 0 <= start < k.position.shape[1] else None
