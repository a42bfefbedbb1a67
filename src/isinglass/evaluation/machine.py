"""How fast this machine multiplies and reads, measured now: the two numbers that a prediction of speed needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from isinglass.models.machine import best_seconds, product_rate

_READ_BYTES = 256 * 2**20  # in two halves, each larger than the caches of common processors


@dataclass(frozen=True)
class Rates:
    """The best of several tries each: what the machine can do, so predictions made with it are lower bounds of a time."""

    flops_per_second: float
    bytes_per_second: float

    def seconds(self, flops: float, n_bytes: float) -> float:
        """The roofline: work waits for arithmetic or for memory, whichever takes longer.

        Source: Williams, Waterman, Patterson 2009, Roofline.

        >>> Rates(100e9, 10e9).seconds(flops=1e9, n_bytes=1e9)
        0.1
        """
        return max(flops / self.flops_per_second, n_bytes / self.bytes_per_second)

    def best(self, other: Rates) -> Rates:
        """The faster of two measurements: a machine that others use as well is slower at times, never faster."""
        return Rates(max(self.flops_per_second, other.flops_per_second), max(self.bytes_per_second, other.bytes_per_second))


def measure_rates(dtype: torch.dtype, device: torch.device) -> Rates:
    """A square matrix product, and the dot product of two large vectors, in the model's number format. Takes about a second."""
    one, other = torch.ones(2, _READ_BYTES // dtype.itemsize // 2, dtype=dtype, device=device)
    return Rates(product_rate(dtype, device), _READ_BYTES / best_seconds(lambda: one @ other))
