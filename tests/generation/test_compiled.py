"""The compiled step gives the tokens of the plain one."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

# in its own process: the annotation checks of the test run are not for a compiler to trace
PROGRAM = """
import isinglass as ig
for seed in (3, 4):  # a program belongs to one model, batch size and capacity
    lm = ig.create("tiny(n_layers=2)", seed=seed)
    for prompts in ("hello", ["hello", "a longer prompt"]):
        plain = ig.generate(lm, prompts, max_tokens=8, strategy="sample(temperature=2.0)", seed=5)
        compiled = ig.generate(lm, prompts, max_tokens=8, strategy="sample(temperature=2.0)", seed=5, compile=True)
        for a, b in zip(*([x] if isinstance(prompts, str) else x for x in (plain, compiled))):
            assert a.ids == b.ids, (a.ids, b.ids)
            assert max(abs(x - y) for x, y in zip(a.log_probs, b.log_probs)) < 1e-4
print("equal")
"""
REAL = """
import isinglass as ig
lm = ig.load("smollm2")
plain, compiled = (ig.generate(lm, "The capital of France is", max_tokens=24, compile=c) for c in (False, True))
assert plain.ids == compiled.ids, (plain.text, compiled.text)
assert max(abs(x - y) for x, y in zip(plain.log_probs, compiled.log_probs)) < 1e-3
print("equal")
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
@pytest.mark.parametrize("program", [PROGRAM, REAL], ids=["tiny", "smollm2"])
def test_compiled_generation_equals_plain(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "equal\n", done.stderr
