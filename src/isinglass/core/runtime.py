"""Seeds and processor cores: the few facts about a run that must not hide in global state."""

from __future__ import annotations

import hashlib
import os


def derive_seed(seed: int, *path: int | str) -> int:
    """A 63-bit seed for one stream of random numbers, independent for each path (a row, a layer, a worker).

    Hashing, instead of seed + row, keeps (seed 0, row 1) apart from (seed 1, row 0).

    >>> derive_seed(0, 1) != derive_seed(1, 0)
    True
    """
    digest = hashlib.sha256(repr((seed, *path)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def cores() -> int:
    """Processor cores this process may use (respects affinity, which containers set)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
