"""The compiled engine: the numbers of the eager one from one program, resumed to the last bit; and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import isinglass as ig
from isinglass.core.errors import ConfigError, EngineError, IsinglassError
from isinglass.nn.native import compiler
from isinglass.training import compiled
from isinglass.training.loop import train

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. " * 12
CONFIG: dict[str, Any] = dict(context_length=16, batch_size=4, optimizer="adamw(lr=0.01)", evaluate_every=10, evaluation_batches=1)
COMPILED = {**CONFIG, "engine": "compiled"}
needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler on this machine")

# in a process of its own: the annotation checks of the tests are not for a compiler to trace
SAME = f"""
import torch, isinglass as ig
from torch._dynamo.utils import counters
lm, config = ig.create("tiny(n_layers=1, d_model=32, n_heads=2)", seed=3), {CONFIG!r}
eager, fast = (ig.train(lm, [{TEXT!r}], steps=20, config={{**config, "engine": engine}}) for engine in ("eager", "compiled"))
assert counters["stats"]["unique_graphs"] == 1 and not counters["graph_break"], counters
for one, other in zip(eager.rows, fast.rows, strict=True):
    assert abs(one["loss"] - other["loss"]) < 1e-5, (one, other)
    assert abs(one.get("validation_loss", 0) - other.get("validation_loss", 0)) < 1e-5, (one, other)
assert fast.rows[-1]["loss"] < fast.rows[0]["loss"] - 1
ours, theirs = eager.lm.model.state_dict(), fast.lm.model.state_dict()
assert list(ours) == list(theirs)
for name, weight in ours.items():
    torch.testing.assert_close(theirs[name], weight, atol=1e-4, rtol=1e-4)
"""
RESUMED = f"""
import shutil, torch, isinglass as ig
lm = ig.create("tiny(n_layers=1, d_model=32, n_heads=2, dropout=0.1)", seed=3)
options = dict(steps=6, out="run", save_every=3, config={COMPILED!r})
whole = ig.train(lm, [{TEXT!r}], **options)
shutil.rmtree("run/checkpoints/step-00000006")
resumed = ig.train(lm, [{TEXT!r}], resume=True, **options)
assert [row["loss"] for row in resumed.rows] == [row["loss"] for row in whole.rows]
ours, theirs = whole.lm.model.state_dict(), resumed.lm.model.state_dict()
assert all(torch.equal(theirs[name], weight) for name, weight in ours.items())
"""


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("program", [SAME, RESUMED], ids=["the steps of the eager engine, from one program", "resumed to the last bit"])
def test_compiled_training(program: str, tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("preset", "more", "kind", "said"),
    [
        ("tiny", {"activations": "recomputed"}, ConfigError, "engine = 'compiled' beside activations = 'recomputed'"),
        ("tiny", {"parallel": "fsdp"}, ConfigError, "engine = 'compiled' beside parallel = 'fsdp'"),
    ],
)
def test_settings_it_does_not_go_with(preset: str, more: dict[str, Any], kind: type[IsinglassError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        train(ig.create(preset), [TEXT], steps=1, config={**COMPILED, **more})
    assert caught.value.hint == "leave engine out: the eager one trains everything"


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "compiler", lambda: None)
    with pytest.raises(EngineError, match="needs a C\\+\\+ compiler, and neither g\\+\\+ nor clang\\+\\+ was found") as caught:
        train(ig.create("tiny"), [TEXT], steps=1, config=COMPILED)
    assert caught.value.hint == "install g++, or set CXX"


@needs_compiler
def test_a_model_that_is_no_single_program() -> None:
    """Which experts a token goes to is known only when it comes."""
    lm = ig.create("mixtral(n_layers=1, d_model=32, n_heads=2, n_kv_heads=1, d_ff=48, vocab_size=300, context_length=32)")
    with pytest.raises(EngineError, match="this model is no single program"):
        train(lm, [TEXT], steps=1, config=COMPILED)
