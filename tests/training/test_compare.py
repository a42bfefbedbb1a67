"""Runs beside each other: what differs, what was reached, and on which axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import isinglass as ig
from isinglass.core.errors import CheckpointError, ConfigError
from isinglass.training.compare import comparable, compare, differing
from isinglass.training.loop import train

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom. " * 12


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """small, large and words, which has a vocabulary of its own; half holds nothing out."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    config = {"batch_size": 4, "context_length": 16, "evaluate_every": 2}
    for name, size, tokenizer in (("small", 16, None), ("large", 32, None), ("words", 16, ig.train_tokenizer("character", [TEXT]))):
        lm = ig.create(f"tiny(d_model={size}, n_layers=1)", tokenizer=tokenizer)
        train(lm, folder / "text.txt", steps=4, out=folder / name, config=config)
    train(ig.create("tiny(n_layers=1)"), [TEXT], steps=2, out=folder / "blind", config={**config, "validation": 0})
    return folder


def test_only_what_differs_is_shown_with_what_was_reached(runs: Path) -> None:
    found = compare([runs / "small", runs / "large"])
    assert found.measure == "loss" and found.table.notes == ()
    assert [(row["run"], row["model.d_model"]) for row in found.table.rows] == [("small", 16), ("large", 32)]
    assert {"model.n_layers", "train.steps", "seed", "data"}.isdisjoint(found.table.columns)
    for row in found.table.rows:
        assert (row["steps"], row["tokens"], row["best step"]) == (4, 4 * 64, 4)
        assert 0 < row["validation loss"] < 6 and row["tokens per second"] == pytest.approx(256 / row["seconds"])


@pytest.mark.parametrize(("by", "axis", "last"), [("steps", "step", 4), ("tokens", "tokens", 256)])
def test_the_axis(runs: Path, by: Any, axis: str, last: float) -> None:
    figure = compare([runs / "small", runs / "large"], by=by).figure
    assert figure.data is not None
    assert {row["series"] for row in figure.data.rows} == {"small", "small, validation", "large", "large, validation"}
    assert max(row[axis] for row in figure.data.rows) == last


def test_seconds_end_at_the_sum_of_the_steps(runs: Path) -> None:
    found = compare([runs / "small"], by="seconds")
    assert found.figure.data is not None
    assert max(row["seconds of training"] for row in found.figure.data.rows) == pytest.approx(found.table.rows[0]["seconds"])


def test_vocabularies_that_differ_are_compared_by_bits_per_byte(runs: Path) -> None:
    found = compare([runs / "small", runs / "words"])
    assert found.measure == "bits_per_byte"
    assert found.figure.notes[0].startswith("vocabularies differ: bits per byte can be compared")
    assert found.figure.data is not None and "bits per byte" in found.figure.data.rows[0]
    assert all(row["validation bits per byte"] > 0 for row in found.table.rows)


def test_what_cannot_be_compared_is_said() -> None:
    rows = [[{"step": 1, "validation_loss": 1.0}], [{"step": 1, "validation_loss": 2.0}]]
    made = [{"tokenizer": "a", "objective": "causal_lm(stride=3)"}, {"tokenizer": "b", "objective": "masked_lm"}]
    measure, notes = comparable(rows, made)
    assert measure == "loss"
    assert notes[0] == "objectives differ (causal_lm, masked_lm): their losses are not of one kind"
    assert "not every run recorded bits per byte" in notes[1]


def test_of_many_runs_the_validation_curves(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "small").symlink_to(runs / "small")
    figure = compare([runs / "small", runs / "large", runs / "words", tmp_path / "small"]).figure
    names = {f"{runs / 'small'}, validation", f"{tmp_path / 'small'}, validation", "large, validation", "words, validation"}
    assert figure.data is not None and {row["series"] for row in figure.data.rows} == names
    assert "of the validation set" in figure.notes


def test_a_run_that_holds_nothing_out(runs: Path) -> None:
    found = compare([runs / "blind"])
    assert found.table.rows[0]["validation loss"] is None
    assert found.figure.data is not None and {row["series"] for row in found.figure.data.rows} == {"blind"}


def test_data_is_told_apart_by_name(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text(TEXT.upper(), encoding="utf-8")
    config = {"batch_size": 4, "context_length": 16, "evaluate_every": 2}
    train(ig.create("tiny(d_model=16, n_layers=1)"), tmp_path / "other.txt", steps=4, out=tmp_path / "other", config=config)
    found = compare([runs / "small", tmp_path / "other"])
    assert [row["data"] for row in found.table.rows] == [str(runs / "text.txt"), str(tmp_path / "other.txt")]


def test_settings_that_one_run_has_not() -> None:
    assert differing([{"a": 1, "b": 2}, {"a": 1, "c": 3}]) == [{"b": 2, "c": None}, {"b": None, "c": 3}]


def test_a_run_without_a_step_is_left_out(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "run.toml").write_text("seed = 0\n")
    found = compare([runs / "small", tmp_path / "begun"])
    assert len(found.table) == 1 and found.table.notes == (f"left out, for it has no step on disk: {tmp_path / 'begun'}",)


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no run\n  expected a metrics\.csv"):
        compare([tmp_path])
    with pytest.raises(ConfigError, match=r"no run to compare\nhint: give the folders"):
        compare([])
