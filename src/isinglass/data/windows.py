"""Windows: a long stream of token ids cut into pieces of one length, and texts packed into rows of one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import DataError


@dataclass(frozen=True, eq=False)
class Windows(Sequence[NDArray[np.int64]]):
    """Overlapping pieces of `length` + 1 ids, `stride` apart: the first `length` are read, the last `length` are to be predicted.

    What is left at the end is one more window that reaches back, so that every id but the first is predicted at least once.
    Raises DataError for a stream that is shorter than one window.

    >>> [window.tolist() for window in Windows(np.arange(6), length=2, stride=2)]
    [[0, 1, 2], [2, 3, 4], [3, 4, 5]]
    """

    ids: NDArray[np.integer]
    length: int
    stride: int

    def __post_init__(self) -> None:
        if self.length < 1 or self.stride < 1:
            raise DataError(f"windows of {self.length} tokens with stride {self.stride}: expected at least 1 of each")
        if len(self.ids) < self.length + 1:
            raise DataError(
                f"the corpus has {len(self.ids):,} tokens, and one window needs {self.length + 1:,}: "
                "context_length is longer than the corpus",
                hint=f"set context_length to at most {max(len(self.ids) - 1, 1):,}, or give more text",
            )

    def __len__(self) -> int:
        return -(-(len(self.ids) - 1 - self.length) // self.stride) + 1

    def start(self, number: int) -> int:
        """Where a window begins in the stream."""
        if not 0 <= number < len(self):
            raise IndexError(f"window {number} of {len(self)}")
        return min(number * self.stride, len(self.ids) - 1 - self.length)

    def __getitem__(self, number: int) -> NDArray[np.int64]:  # pyright: ignore[reportIncompatibleMethodOverride]
        start = self.start(number)
        return self.ids[start : start + self.length + 1].astype(np.int64)


def packed(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Which texts share a row: first-fit decreasing, at most 22 % above the fewest rows possible (Johnson 1973); deterministic.

    `lengths` are in tokens, each at most `room`, else DataError names the text.

    >>> packed([5, 3, 2, 4], room=7)
    [[0, 2], [3, 1]]
    """
    rows: list[list[int]] = []
    free: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda n: (-lengths[n], n)):
        if lengths[number] > room:
            raise DataError(f"text {number} has {lengths[number]:,} tokens, a row has room for {room:,}", hint="raise context_length")
        row = next((r for r, left in enumerate(free) if left >= lengths[number]), None)
        if row is None:
            rows.append([])
            free.append(room)
            row = len(rows) - 1
        rows[row].append(number)
        free[row] -= lengths[number]
    return rows
