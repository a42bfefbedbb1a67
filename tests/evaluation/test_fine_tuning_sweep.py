"""Runs side by side: counts that follow from the shapes, memory that is less where less trains, and that runs share nothing."""

from __future__ import annotations

from typing import Any

import pytest

import isinglass as ig
from isinglass.core.errors import ConfigError, VariantError
from isinglass.evaluation.fine_tuning_sweep import sweep, sweeping
from isinglass.training.config import TrainConfig
from isinglass.training.loop import train

DATA = [{"instruction": f"Spell {word}", "output": "-".join(word)} for word in ("one", "two", "six", "ten", "four", "five", "nine", "zero")]
COMMON: dict[str, Any] = dict(objective="instruction", steps=3, config={"context_length": 160, "batch_size": 2, "validation": 0.25})


def test_one_row_for_each_choice() -> None:
    choices: list[dict[str, Any]] = [
        {"strategy": "all"}, {"strategy": "last_block"}, {"adapter": "lora(rank=2)"}, {"adapter": "lora(rank=4)"},
        {"adapter": "prefix(length=4)", "config": {"batch_size": 4}},
    ]  # fmt: skip
    lm = ig.create("tiny(n_layers=3)")
    found = sweep(lm, DATA, choices, **COMMON)
    rows = {(row["strategy"], row["adapter"]): row for row in found.rows}
    every, block, two, four, prefix = rows.values()
    assert list(rows) == [(c.get("strategy", "all"), c.get("adapter")) for c in choices]
    assert every["parameters"] == sum(weight.numel() for weight in lm.model.parameters())
    assert four["parameters"] == 2 * two["parameters"]
    assert two["parameters"] < block["parameters"] < every["parameters"]
    assert block["peak MB"] < every["peak MB"]  # neither gradients nor optimizer states of the lower blocks
    assert all(row["seconds"] > 0 and row["loss"] > 0 and row["best loss"] <= row["loss"] for row in rows.values())
    assert two["merge drift"] < 1e-4 and every["merge drift"] is None and prefix["merge drift"] is None
    assert prefix["train.batch_size"] == 4
    assert {"parameters", "seconds", "peak MB", "loss", "merge drift"} <= set(found.columns)
    assert "the weights are not counted" in found.to_markdown() or any("weights are not counted" in note for note in found.notes)


def test_a_run_is_what_it_is_alone() -> None:
    lm, choice = ig.create("tiny"), {"adapter": "lora(rank=2)"}
    alone = train(lm, DATA, **COMMON, **choice)
    *_, last = sweeping(lm, DATA, [{"strategy": "last_block"}, choice], **COMMON)
    assert [row["loss"] for row in last.run.rows] == [row["loss"] for row in alone.rows]
    assert last.run.evaluations[-1]["validation_loss"] == alone.evaluations[-1]["validation_loss"]


def test_settings_as_an_object() -> None:
    config = TrainConfig(context_length=160, batch_size=2, validation=0.25, steps=1)
    (row,) = sweep(ig.create("tiny"), DATA, [{"config": {"optimizer": "adamw(lr=0.1)"}}], objective="instruction", config=config).rows
    assert row["train.optimizer"] == "adamw(lr=0.1)" and row["at step"] == 1


def test_errors() -> None:
    lm = ig.create("tiny")
    with pytest.raises(ConfigError, match="there is no choice to try"):
        sweep(lm, DATA, [], **COMMON)
    with pytest.raises(ConfigError, match="nothing is held out, so the runs cannot be compared"):
        sweep(lm, DATA, [{"config": {"validation": 0}}], **COMMON)
    with pytest.raises(VariantError, match="rank"):
        sweep(lm, DATA, [{"adapter": "lora(rank=0)"}], **COMMON)
