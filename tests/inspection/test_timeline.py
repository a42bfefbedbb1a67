"""Timelines: the models of a run's checkpoints, and induction heads that appear while a model learns."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

import isinglass as ig
from helpers.kinds import reader
from isinglass.core.errors import CheckpointError, ConfigError, EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.checkpoints import RunFolder, models
from isinglass.inspection.timeline import moments, timeline
from isinglass.training.loop import train
from isinglass.training.record import read_metrics

TEXTS = ["to be or not to be, that is the question " * 4, "whether tis nobler in the mind to suffer " * 4] * 4
SMALL: dict[str, Any] = {"context_length": 16, "batch_size": 4, "keep": "all", "evaluate_every": 2}


def run_of(folder: Path, lm: LM | None = None, steps: int = 6, data: Any = TEXTS, **options: Any) -> Path:
    config = {**SMALL, **options.pop("config", {})}
    train(lm or ig.create("tiny"), data, out=folder, steps=steps, config=config, **options)
    return folder


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_of(tmp_path_factory.mktemp("runs") / "small", save_every=2)


@pytest.fixture(scope="module")
def induction_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers learn texts in which a random word of 3 to 16 letters comes again and again: only looking back helps."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEF"
    chance = random.Random(0)
    texts = [("".join(chance.sample(letters, chance.randint(3, 16))) * 12)[:32] for _ in range(4_000)]
    lm = ig.create(
        "llama(n_layers=2, d_model=64, n_heads=4, n_kv_heads=4, d_ff=32, context_length=32)",
        tokenizer=ig.train_tokenizer("character", [letters], vocab_size=33), attention={"position": "alibi"},
    )  # fmt: skip
    config = {
        "context_length": 32, "batch_size": 32, "optimizer": "adamw(lr=5e-3, weight_decay=0.0)", "schedule": "constant", "validation": 0.02,
        "evaluate_every": 60,
    }  # fmt: skip
    return run_of(tmp_path_factory.mktemp("runs") / "induction", lm, 300, texts, config=config, save_every=60)


def test_an_induction_head_appears(induction_run: Path) -> None:
    found = timeline(induction_run, "heads")
    steps, scores = found.curves["induction score"]
    assert steps == [60, 120, 180, 240, 300]
    assert scores[0] < 0.1  # even attention over half of 32 tokens gives about 0.05
    assert scores[-1] > 0.2
    assert scores[-1] > 3 * scores[0]
    # it needs a layer before it, so it is in the second (Olsson et al. 2022)
    assert found.moments[-1].values["best induction head"].startswith("1.")
    assert found.moments[-1].losses["validation_loss"] < found.moments[0].losses["validation_loss"] - 0.5
    assert {"training loss", "validation loss", "induction score"} <= {row["series"] for row in found.figure.data.rows}
    assert found.maps[0].title == "induction score by layer, step by step"


def test_what_was_predicted_when(induction_run: Path) -> None:
    found = timeline(induction_run, "predict", prompt="abcdefgabcdefgabcd", answer="e")
    _, p = found.curves["probability of 'e'"]
    assert p[-1] > 5 * p[0]
    profile = found.moments[-1].values["probability of 'e' by layer"]
    assert profile[-1] == pytest.approx(p[-1])  # the lens at the last layer is the output
    assert "'e' " in found.table.rows[-1]["likeliest"]


def test_checkpoints_are_the_models_of_their_steps(small_run: Path) -> None:
    found = list(models(small_run))
    assert [step for step, _ in found] == [2, 4, 6]
    last = ig.load(small_run)
    for name, weight in last.model.state_dict().items():
        assert torch.equal(found[-1][1].model.state_dict()[name], weight), name
    assert not torch.equal(found[0][1].model.embed_tokens.weight, last.model.embed_tokens.weight)
    rows = {row["step"]: row for row in read_metrics(small_run / "metrics.csv")}
    for moment in timeline(small_run, "loss").moments:
        assert moment.losses == {name: rows[moment.step][name] for name in ("loss", "validation_loss")}


def test_any_measure_comes_one_moment_after_the_other(small_run: Path) -> None:
    asked: list[int] = []

    def norm(lm: LM) -> dict[str, float]:
        asked.append(lm.card["trained_steps"])
        return {"norm of the embedding": float(lm.model.embed_tokens.weight.norm())}

    events = moments(small_run, norm)
    assert asked == []
    assert next(events).step == 2
    assert asked == [2]
    found = timeline(small_run, norm)
    assert found.curves["norm of the embedding"][0] == [2, 4, 6]
    assert found.data["view"] == "measure"


def test_without_an_answer_the_last_likeliest_token_is_asked_for(small_run: Path) -> None:
    (name,) = timeline(small_run, "predict", prompt="to be").curves
    lm = ig.load(small_run)
    assert name == f"probability of {lm.tokenizer.decode([int(ig.trace(lm, 'to be').logits[0, -1].argmax())])!r}"


def test_a_run_keeps_the_newest_two_unless_told_otherwise(tmp_path: Path) -> None:
    assert len(timeline(run_of(tmp_path / "new", save_every=1, config={"keep": "newest"}), "loss").moments) == 2
    assert len(timeline(run_of(tmp_path / "all", save_every=1), "loss").moments) == 6
    with pytest.raises(ConfigError, match="keep"):
        run_of(tmp_path / "wrong", config={"keep": "some"})


def test_frozen_weights_come_from_what_the_run_exported(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run", strategy="norm_and_bias")
    last = ig.load(folder)
    for given in (None, last):
        (*_, (_, lm)) = models(folder, given)
        assert torch.equal(ig.trace(lm, "to be").logits, ig.trace(last, "to be").logits)


def test_an_adapter_needs_the_model_it_stands_beside(tmp_path: Path) -> None:
    base = ig.create("tiny")
    folder = run_of(tmp_path / "run", base, adapter="lora(rank=2)")
    with pytest.raises(CheckpointError, match=r"trained an adapter, lora\(rank=2\); what it stands beside is in no checkpoint"):
        timeline(folder)
    (*_, (_, lm)) = models(folder, base)
    torch.testing.assert_close(ig.trace(lm, "to be").logits, ig.trace(ig.load(folder), "to be").logits, atol=1e-5, rtol=1e-5)
    assert timeline(folder, base=base).curves["induction score"][0][-1] == 6


def test_other_kinds_of_models(tmp_path: Path) -> None:
    lm = ig.create("bert(n_layers=1, d_model=32, n_heads=4)", tokenizer=ig.tokenizer("bert-base-uncased"))
    folder = run_of(tmp_path / "bert", lm, 2, objective="masked_lm")
    assert timeline(folder).curves["induction score"][0] == [2]
    with pytest.raises(EngineError, match="does not continue a text"):
        timeline(folder, "predict", prompt="to be", answer="or")
    t5 = ig.create("t5(n_layers=1, d_model=32, n_heads=4, d_head=8, d_ff=48)", tokenizer=reader())
    folder = run_of(tmp_path / "t5", t5, 2, objective="span_corruption")
    assert timeline(folder).curves["induction score"][0] == [2]


def test_what_is_no_run(tmp_path: Path, small_run: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no run"):
        timeline(tmp_path)
    (tmp_path / "run.toml").write_text("seed = 0\n")
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        timeline(tmp_path)
    with pytest.raises(ConfigError, match="unknown view 'haeds'"):
        timeline(small_run, "haeds")
    with pytest.raises(ConfigError, match="the view 'predict' needs a prompt"):
        timeline(small_run, "predict")
    with pytest.raises(EngineError, match="the answer '' has no token"):
        timeline(small_run, "predict", prompt="to be", answer="")


def test_a_run_without_an_exported_model_needs_its_base(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    base = ig.create("tiny")
    events = ig.training(base, TEXTS, out=folder, steps=4, save_every=1, config={**SMALL, "validation": 0.0})
    for event in events:
        if getattr(event, "step", 0) == 2:
            break
    events.close()
    with pytest.raises(CheckpointError, match="has exported no model yet, so its tokenizer is not known"):
        timeline(folder)
    assert [moment.step for moment in timeline(folder, base=base).moments][-1] == 2


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run", steps=2)
    damaged = RunFolder.of(folder).checkpoints[0].path
    (damaged / "state.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match="cannot read the checkpoint"):
        timeline(folder)


def test_what_a_timeline_saves(tmp_path: Path, small_run: Path) -> None:
    found = timeline(small_run, command="isinglass inspect timeline small")
    for suffix in ("html", "svg", "png", "json", "csv", "md", "txt"):
        assert found.save(tmp_path / f"found.{suffix}").stat().st_size > 100
    assert "loss (nats per target)" in found.figure.to_svg()
    assert "induction score" in found.figure.to_terminal(80, color=False)
