"""Keeping what blocks that do not train say: the same training, and only where it is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import isinglass as ig
from isinglass.evaluation.classification import classify
from isinglass.generation.lm import LM
from isinglass.training import objectives, reuse
from isinglass.training.config import TrainConfig
from isinglass.training.dataset import records_of
from isinglass.training.events import Started, StepDone
from isinglass.training.loop import train, training
from isinglass.training.reuse import Reused, first_trained_block, reusing, states
from isinglass.training.run import Run
from isinglass.training.setup import prepare
from isinglass.training.trainer import Trainer

RECORDS = [
    {"text": ("good " if n % 2 else "bad ") * (1 + n % 5) + chr(97 + n % 26), "label": "plus" if n % 2 else "minus"} for n in range(40)
]
CONFIG = dict(batch_size=8, optimizer="adamw(lr=0.01)", evaluate_every=4)
MODELS = {
    "llama-like": "tiny(n_layers=3)",
    "gpt2": "gpt2(n_layers=3, d_model=32, n_heads=4, dropout=0.0)",
    "bert": "bert(n_layers=3, d_model=32, n_heads=4, dropout=0.0)",
    "t5 positions": "tiny(n_layers=3)",
}


def model(name: str) -> LM:
    attention = {"position": "relative_t5"} if name == "t5 positions" else None
    return ig.create(MODELS[name], attention=attention, seed=1)


def run(lm: LM, *, strategy: str, keep: str = "auto", out: Path | None = None, **more: Any) -> Run:
    return train(
        lm, RECORDS, objective="classification", strategy=strategy, epochs=3, seed=4, out=out, config={**CONFIG, "reuse": keep}, **more
    )


def reused(lm: LM, strategy: str, **config: Any) -> int | None:
    """From which block on a run trains a kept input; None where nothing is kept."""
    asked = TrainConfig.model_validate({**CONFIG, "epochs": 2, **config})
    job = prepare(lm, RECORDS, objective="classification", strategy=strategy, adapter=None, out=None, resume=False, seed=0, config=asked)
    return job.trainer.objective.first if isinstance(job.trainer.objective, Reused) else None


@pytest.mark.parametrize("strategy", ["head", "last_block", "last_two_blocks"])
@pytest.mark.parametrize("name", MODELS)
def test_the_same_losses_and_the_same_model(name: str, strategy: str) -> None:
    lm = model(name)
    ours, theirs = run(lm, strategy=strategy), run(lm, strategy=strategy, keep="never")
    assert [row["loss"] for row in ours.rows] == pytest.approx([row["loss"] for row in theirs.rows], abs=1e-5)
    assert ours.rows[-1]["validation_accuracy"] == theirs.rows[-1]["validation_accuracy"]
    # answers, not weights: where a gradient is 0 but for rounding (biases of keys), Adam makes steps of the rounding
    one, other = (classify(each.lm, [record["text"] for record in RECORDS]).probabilities for each in (ours, theirs))
    np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(("strategy", "adapter"), [("last_block", "lora(rank=2)"), ("last_block", "prefix(length=2)")])
def test_adapters_in_the_last_block(strategy: str, adapter: str) -> None:
    lm = model("llama-like")
    ours, theirs = run(lm, strategy=strategy, adapter=adapter), run(lm, strategy=strategy, adapter=adapter, keep="never")
    assert [row["loss"] for row in ours.rows] == pytest.approx([row["loss"] for row in theirs.rows], abs=1e-5)


def test_lower_blocks_see_each_text_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lm, seen = model("llama-like"), []
    plain = reuse.entering
    monkeypatch.setattr(reuse, "entering", lambda m, batch, first: seen.append(len(batch.ids)) or plain(m, batch, first))
    run(lm, strategy="last_block")
    assert sum(seen) == len(RECORDS)


@pytest.mark.parametrize("stop", [1, 4, 9])
def test_a_resumed_run_has_the_same_bits(tmp_path: Path, stop: int) -> None:
    whole = run(model("llama-like"), strategy="last_block", out=tmp_path / "whole")
    events = training(
        model("llama-like"),
        RECORDS,
        objective="classification",
        strategy="last_block",
        epochs=3,
        seed=4,
        out=tmp_path / "cut",
        config=CONFIG,
    )
    for event in events:
        if isinstance(event, StepDone) and event.step == stop:
            break
    events.close()  # type: ignore[attr-defined]
    resumed = run(model("llama-like"), strategy="last_block", out=tmp_path / "cut", resume=True)
    for name, weight in whole.lm.model.state_dict().items():
        assert torch.equal(weight, resumed.lm.model.state_dict()[name]), name


def test_states_computed_before_serve_several_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = model("llama-like")
    records = records_of(RECORDS)
    goal = objectives.family.resolve("classification").fitted(records)
    known = states(lm.model, goal, goal.examples(lm, records, 64), 2)
    monkeypatch.setattr(reuse, "entering", lambda *given: pytest.fail("computed again"))
    options: dict[str, Any] = dict(strategy="last_block", epochs=2, seed=4, config=CONFIG)
    ours = train(lm, RECORDS, objective=Reused(goal, 2, known), **options)
    theirs = train(lm, RECORDS, objective="classification", **{**options, "config": {**CONFIG, "reuse": "never"}})
    assert [row["loss"] for row in ours.rows] == pytest.approx([row["loss"] for row in theirs.rows], abs=1e-5)


def test_where_it_applies() -> None:
    lm = model("llama-like")
    assert {name: reused(lm, name) for name in ("head", "last_block", "last_two_blocks", "norm_and_bias", "all")} == {
        "head": 3, "last_block": 2, "last_two_blocks": 1, "norm_and_bias": None, "all": None,
    }  # fmt: skip
    assert reused(lm, "last_block", reuse="never") is None
    assert reused(ig.create("tiny(n_layers=3, dropout=0.1)"), "last_block") is None


def test_compiled_steps_and_divided_models_keep_nothing() -> None:
    lm = model("llama-like")
    goal = objectives.family.resolve("classification(labels=['minus', 'plus'])")
    given = goal, goal.trainee(lm, 0), frozenset({"heads.classification.out_proj.weight"})
    assert isinstance(reusing(*given, TrainConfig(), [[]])[0], Reused)
    assert reusing(*given, TrainConfig(engine="compiled"), [[]])[0] is goal
    assert reusing(*given, TrainConfig(parallel="fsdp"), [[]])[0] is goal


def test_the_bytes_are_told() -> None:
    events = training(model("llama-like"), RECORDS, objective="classification", strategy="last_block", steps=1, config=CONFIG)
    started = next(events)
    assert isinstance(started, Started)
    assert started.kept_bytes == sum(len(record["text"]) for record in RECORDS) * 64 * 4  # bytes are tokens here, d_model is 64


def test_what_does_not_fit_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "MOST_BYTES", 1000)
    assert reused(model("llama-like"), "last_block") is None


def test_objectives_that_draw_their_rows_are_left_alone() -> None:
    events = training(model("llama-like"), ["to be or not to be " * 40], strategy="last_block", steps=2, config={"context_length": 16})
    assert [type(event).__name__ for event in events].count("StepDone") == 2
    assert objectives.family.resolve("causal_lm").rows == "drawn"


def test_an_encoder_decoder_keeps_nothing() -> None:
    t5 = ig.create("t5(n_layers=1, d_model=16, n_heads=2, d_ff=32)").model
    assert first_trained_block(t5, frozenset({"norm.weight"})) is None


def test_a_step_costs_only_the_upper_blocks() -> None:
    """Counted, not timed: the FLOPs of a step of the second epoch, beside those of a model that has only the last block."""
    from torch.utils.flop_counter import FlopCounterMode

    def flops(lm: LM, keep: str) -> int:
        asked = TrainConfig.model_validate({**CONFIG, "steps": 20, "batch_size": 40, "validation": 0, "reuse": keep})
        job = prepare(
            lm, RECORDS, objective="classification", strategy="last_block", adapter=None, out=None, resume=False, seed=0, config=asked
        )
        return _flops_of_second_step(job.trainer, FlopCounterMode(display=False))

    deep, one = ig.create("tiny(n_layers=8)", seed=1), ig.create("tiny(n_layers=1)", seed=1)
    assert flops(deep, "auto") == flops(one, "never")
    assert flops(deep, "never") > 3 * flops(deep, "auto")


def _flops_of_second_step(trainer: Trainer, counter: Any) -> int:
    trainer.advance()
    with counter:
        trainer.advance()
    return counter.get_total_flops()
