"""The loader: which examples come next. Its whole state is one number, so training resumes at the exact example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import ConfigError, DataError
from isinglass.core.runtime import derive_seed

_WINDOW = 50  # batches that are sorted together: long enough for rows of like length, short enough that an epoch stays mixed


class Draw(NamedTuple):
    """An example, and the place in the whole order at which it was drawn (which seeds whatever is random about it)."""

    place: int
    example: int


class Loader:
    """Draws `batch_size` example numbers at a time, every example once per epoch, each epoch in another order.

    The order follows from (seed, epoch) alone. With several processes each gets its share of the same batch (`rank` of `world`), so the
    number of processes changes no batch. `drawn` counts the examples drawn so far, by all processes: set it, and the loader goes on there.
    With `lengths` (of the examples) the batches of each window of 50 are made of rows of like length, in random order: less is padded.

    >>> loader = Loader(4, batch_size=2, seed=0)
    >>> sorted(draw.example for draw in loader.draw() + loader.draw())
    [0, 1, 2, 3]
    """

    def __init__(
        self, n_examples: int, batch_size: int, seed: int, *, rank: int = 0, world: int = 1, lengths: Sequence[int] | None = None
    ) -> None:
        if n_examples < 1:
            raise DataError("there is no example to learn from", hint="give more text, or a shorter context_length")
        if batch_size < 1 or batch_size % world:
            raise ConfigError(f"batch_size = {batch_size!r} for {world} processes: expected a multiple of {world}")
        self.n_examples, self.batch_size, self.seed = n_examples, batch_size, seed
        self.rank, self.world = rank, world
        self._lengths = None if lengths is None else np.asarray(lengths)
        self.drawn = 0
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    @property
    def epoch(self) -> float:
        """Epochs done, with the part of the present one."""
        return self.drawn / self.n_examples

    def draw(self) -> list[Draw]:
        """The next batch: this process's share of it."""
        places = range(self.drawn + self.rank, self.drawn + self.batch_size, self.world)
        chosen = [Draw(place, int(self._ordered(place // self.n_examples)[place % self.n_examples])) for place in places]
        self.drawn += self.batch_size
        return chosen

    def _ordered(self, epoch: int) -> NDArray[np.int64]:
        if epoch != self._epoch:
            # RandomState, since numpy promises that its streams never change (NEP 19), which it does not for newer generators
            source = np.random.RandomState(np.random.MT19937(derive_seed(self.seed, "order", epoch)))
            order = source.permutation(self.n_examples)
            self._order = order if self._lengths is None else self._grouped(order, epoch, source)
            self._epoch = epoch
        return self._order

    def _grouped(self, order: NDArray[np.int64], epoch: int, source: np.random.RandomState) -> NDArray[np.int64]:
        """The same examples, each window of them sorted by length and its batches shuffled.

        Where an epoch begins or ends within a batch, the examples of that batch stay as they are drawn.
        """
        assert self._lengths is not None
        size, begin = self.batch_size, -epoch * self.n_examples % self.batch_size
        whole = (self.n_examples - begin) // size if begin < self.n_examples else 0
        grouped = order.copy()
        for first in range(0, whole, _WINDOW):
            places = slice(begin + first * size, begin + min(first + _WINDOW, whole) * size)
            window = order[places]
            batches = window[self._lengths[window].argsort(kind="stable")].reshape(-1, size)
            grouped[places] = batches[source.permutation(len(batches))].ravel()
        return grouped
