"""How fast this machine multiplies, measured now: what work is divided by to say how well it was done."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import torch

from isinglass.models.cache import synchronise

_SIDE = 1024
_TIMES = 10


def product_rate(dtype: torch.dtype, device: torch.device) -> float:
    """FLOPs per second of a square matrix product: the best of several tries, since others on the machine only ever make it slower."""
    square = torch.ones(_SIDE, _SIDE, dtype=dtype, device=device)
    return 2 * _SIDE**3 / best_seconds(lambda: square @ square)


@functools.cache
def peak_rate(dtype: torch.dtype, device: torch.device, n_threads: int) -> float:
    """`product_rate`, measured once per process (about 0.2 s) for each number format, device and number of threads."""
    return product_rate(dtype, device)


def best_seconds(work: Callable[[], torch.Tensor]) -> float:
    """The shortest of several tries, after one that warms up."""
    work()
    return min(timed(work) for _ in range(_TIMES))


def timed(work: Callable[[], torch.Tensor]) -> float:
    """Seconds until the result is there."""
    began = time.perf_counter()
    synchronise(work().device)
    return time.perf_counter() - began
