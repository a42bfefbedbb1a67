"""The compiled step gives the tokens of the plain one."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

# in its own process: the annotation checks of the test run are not for a compiler to trace
PROGRAM = """
import isinglass as ig
lm = ig.create("tiny(n_layers=1)", seed=3)
for prompts in ("hello", ["hello", "a longer prompt"]):
    plain = ig.generate(lm, prompts, max_tokens=8, strategy="sample(temperature=0.7)", seed=5)
    compiled = ig.generate(lm, prompts, max_tokens=8, strategy="sample(temperature=0.7)", seed=5, compile=True)
    for a, b in zip(*([x] if isinstance(prompts, str) else x for x in (plain, compiled))):
        assert a.ids == b.ids, (a.ids, b.ids)
        assert max(abs(x - y) for x, y in zip(a.log_probs, b.log_probs)) < 1e-4
print("equal")
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_compiled_generation_equals_plain() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout == "equal\n", done.stderr
