"""Seeds, cores and units."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isinglass.core.runtime import cores, derive_seed
from isinglass.core.units import count, duration, share, size


@given(st.integers(0, 2**62), st.integers(0, 1000), st.integers(0, 1000))
def test_seeds_fit_torch_and_differ(seed: int, first: int, second: int) -> None:
    assert 0 <= derive_seed(seed, first) < 2**63
    assert (derive_seed(seed, first) == derive_seed(seed, second)) == (first == second)
    assert derive_seed(seed, first, "layer") != derive_seed(seed, first)


def test_seeds_are_the_same_in_every_process() -> None:
    """A hash of the interpreter's would change with PYTHONHASHSEED."""
    code = "from isinglass.core.runtime import derive_seed; print(derive_seed(7, 1, 'row'))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "3"}
    )
    assert int(run.stdout) == derive_seed(7, 1, "row")


def test_cores_respect_affinity() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("given_value", "text"),
    [
        (count(134_515_008), "134.5M"), (count(1_557_611_200), "1.56B"), (count(960), "960"), (count(1000), "1.00k"), (count(2.5e13), "25.0T"),
        (size(538_060_032), "538.1 MB"), (size(12), "12 B"), (size(2_000), "2.0 kB"), (size(3.2e12), "3.2 TB"),
        (duration(0.0123), "12.3 ms"), (duration(4.06), "4.1 s"), (duration(125), "2 min 05 s"),
        (share(0.2104), "21.0 %"), (share(1), "100.0 %"),
    ],
)  # fmt: skip
def test_units(given_value: str, text: str) -> None:
    assert given_value == text
