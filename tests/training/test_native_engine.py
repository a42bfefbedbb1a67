"""The native engine: the run of the eager one to rounding, resumed to the last bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import isinglass as ig
from isinglass.nn.native import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C++ compiler on this machine")
TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. " * 12
CONFIG: dict[str, Any] = dict(context_length=16, batch_size=4, optimizer="adamw(lr=0.01)", evaluate_every=10, evaluation_batches=1)
MODELS = ("gpt2(n_layers=1, d_model=32, n_heads=2, context_length=16)", "tiny(n_layers=1, d_model=32, n_heads=2, n_kv_heads=1)")


@pytest.mark.parametrize("model", MODELS)
def test_it_takes_the_steps_of_the_eager_engine(model: str) -> None:
    lm = ig.create(model, seed=3)
    eager, native = (ig.train(lm, [TEXT], steps=20, config={**CONFIG, "engine": engine}) for engine in ("eager", "native"))
    for one, other in zip(eager.rows, native.rows, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], abs=1e-4)
    assert native.rows[-1]["loss"] < native.rows[0]["loss"] - 1
    for name, weight in eager.lm.model.state_dict().items():
        torch.testing.assert_close(native.lm.model.state_dict()[name], weight, atol=1e-3, rtol=1e-3)


def test_it_is_resumed_to_the_last_bit(tmp_path: Path) -> None:
    lm = ig.create(f"{MODELS[0][:-1]}, dropout=0.1)", seed=3)
    options: dict[str, Any] = dict(steps=6, out=tmp_path / "run", save_every=3, config={**CONFIG, "engine": "native"})
    whole = ig.train(lm, [TEXT], **options)
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000006")
    resumed = ig.train(lm, [TEXT], resume=True, **options)
    assert [row["loss"] for row in resumed.rows] == [row["loss"] for row in whole.rows]
    ours, theirs = whole.lm.model.state_dict(), resumed.lm.model.state_dict()
    assert all(torch.equal(theirs[name], weight) for name, weight in ours.items())
