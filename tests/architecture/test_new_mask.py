"""A mask file dropped into `nn/attention/masks/` works everywhere without another edit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import isinglass

MASK = '''"""Odd distance: each token sees itself and those an odd number of places away.

What: hides every other token.
Why: to test that a file is all a mask needs.
Math: allow(i, j) = i == j or (i - j) mod 2 = 1
Cost: half of full
Used by: this test
Paper: none
"""

from dataclasses import dataclass

from isinglass.nn.attention.mask import Mask

EXAMPLE = dict(shift=1)


@dataclass(frozen=True)
class OddDistance(Mask):
    shift: int

    def allow(self, q, k):
        distance = q.position[:, :, None] - k.position[:, None, :]
        return (distance == 0) | (distance % 2 == self.shift % 2)


def build(dims, shift: int = 1) -> Mask:
    return OddDistance(shift)
'''
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to put before everything else: the package's masks, seen through one more folder that holds the new file."""
    root = tmp_path_factory.mktemp("overlay")
    masks = root / "masks"
    masks.mkdir()
    (masks / "odd_distance.py").write_text(MASK)
    # loaded by the interpreter at its start; what a real drop into the source folder would do, without touching it
    (root / "sitecustomize.py").write_text(f"import isinglass.nn.attention.masks as m\nm.__path__.append({str(masks)!r})\n")
    return root


def run(overlay: Path, *arguments: str) -> str:
    path = os.pathsep.join([str(overlay), str(Path(isinglass.__file__).parents[1]), str(TESTS)])
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, cwd=TESTS.parent
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_works_by_name_and_explains_itself(overlay: Path) -> None:
    code = """
import isinglass as ig, torch
from isinglass.core.cards import find_card
from isinglass.nn.attention import masks
assert "odd_distance" in masks.family.names()
card = find_card("odd_distance")
assert (card.family, card.signature, card.example) == ("masks", "shift: int=1", {"shift": 1}), card
assert card.title.startswith("Odd distance")
lm = ig.create("tiny", attention={"mask": "causal & odd_distance"})
other = ig.create("tiny")
ids = torch.arange(10)[None]
assert torch.equal(lm.model(ids)[:, :2], other.model(ids)[:, :2])
assert not torch.allclose(lm.model(ids)[:, 2:], other.model(ids)[:, 2:], atol=1e-4)
print(ig.generate(lm, "abc", max_tokens=3).finish)
"""
    assert run(overlay, "-c", code).strip() == "length"


def test_the_contract_suite_picks_it_up(overlay: Path) -> None:
    listed = run(
        overlay, "-m", "pytest", "tests/contract", "--collect-only", "-p", "no:randomly", "-o", "pythonpath=tests", "-p", "no:xdist"
    )
    for module in ("test_attention.py", "test_caches.py"):
        assert any(module in line and "causal&odd_distance(shift=1)" in line for line in listed.splitlines())


def test_it_passes_the_contract(overlay: Path) -> None:
    chosen = ["-k", "odd_distance and plain and (equals_the_reference or cached_equals)"]
    shown = run(overlay, "-m", "pytest", "tests/contract", *chosen, "-p", "no:randomly", "-o", "pythonpath=tests", "-p", "no:xdist")
    assert "[100%]" in shown


def test_an_unknown_name_lists_it(overlay: Path) -> None:
    code = """
import isinglass as ig
try:
    ig.create("tiny", attention={"mask": "odd_distnce"})
except ig.IsinglassError as error:
    print(error)
"""
    shown = run(overlay, "-c", code)
    assert "global_tokens, odd_distance, prefix" in shown
    assert "did you mean 'odd_distance'" in shown
