"""Searches: every trial an ordinary run, results sorted, and a search that was cut off ends where a whole one ends."""

from __future__ import annotations

import csv
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from isinglass.core.errors import CheckpointError, ConfigError, IsinglassError, TrainingError
from isinglass.training.events import Finished, StepDone
from isinglass.training.loop import train
from isinglass.training.recipe import Recipe
from isinglass.training.search import SearchDone, TrialDone, TrialStarted, search, searching

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. " * 12
SPACE = {"train.optimizer": ["adamw(lr=0.01)", "muon(lr=0.01)"], "model.dropout": [0.0, 0.2]}


def recipe(folder: Path, **train: Any) -> Recipe:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    given = {"steps": 8, "batch_size": 4, "context_length": 16, "evaluate_every": 4, "save_every": 2, **train}
    return Recipe.model_validate(
        {"model": "tiny(n_layers=1, d_model=16)", "tokenizer": "character", "data": str(folder / "text.txt"), "train": given}
    )


def run(folder: Path, **more: Any) -> Any:
    return search(recipe(folder), SPACE, out=folder / "out", **more)


def weights(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {path.parent.name: load_file(path) for path in sorted(folder.glob("*/model.safetensors"))}


def same(one: Path, other: Path) -> bool:
    ours, theirs = weights(one), weights(other)
    assert len(ours) == 4
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n][k], theirs[n][k]) for n in ours for k in ours[n])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(tmp_path_factory.mktemp("whole"))


def test_the_best_trial_stands_first(whole: Any) -> None:
    losses = [row["validation loss"] for row in whole.table.rows]
    assert len(losses) == 4 and losses == sorted(losses) and whole.best["validation loss"] == min(losses)
    for row in whole.table.rows:
        with (Path(row["folder"]) / "metrics.csv").open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        held = [float(line["validation_loss"]) for line in lines if line["validation_loss"]]
        assert row["validation loss"] == min(held)
        assert row["seconds"] == pytest.approx(sum(float(line["seconds"]) for line in lines))
        assert row["tokens per second"] == pytest.approx(8 * 64 / row["seconds"])
    assert {(row["train.optimizer"], row["model.dropout"]) for row in whole.table.rows} == {
        (o, d) for o in SPACE["train.optimizer"] for d in (0.0, 0.2)
    }


def test_a_trial_is_the_run_that_the_call_makes(whole: Any, tmp_path: Path) -> None:
    import isinglass as ig

    lm = ig.create("tiny(n_layers=1, d_model=16, dropout=0.2)", tokenizer=ig.train_tokenizer("character", [TEXT]))
    config = {"batch_size": 4, "context_length": 16, "evaluate_every": 4, "save_every": 2, "optimizer": "muon(lr=0.01)"}
    alone = train(lm, recipe(tmp_path).data, steps=8, config=config).lm.model.state_dict()
    (row,) = [row for row in whole.table.rows if (row["train.optimizer"], row["model.dropout"]) == ("muon(lr=0.01)", 0.2)]
    kept = load_file(Path(row["folder"]) / "model.safetensors")
    assert all(torch.equal(kept[name], alone[name]) for name in kept)


def test_what_is_written(whole: Any) -> None:
    names = sorted(path.name for path in whole.folder.iterdir())
    assert names == [
        "001-optimizer=adamw-lr=0.01,dropout=0.0", "002-optimizer=adamw-lr=0.01,dropout=0.2",
        "003-optimizer=muon-lr=0.01,dropout=0.0", "004-optimizer=muon-lr=0.01,dropout=0.2", "results.csv", "results.json",
    ]  # fmt: skip
    with (whole.folder / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["folder"] for row in rows] == [row["folder"] for row in whole.table.rows]
    kept = json.loads((whole.folder / "results.json").read_text("utf-8"))
    assert kept["over"] == SPACE and [trial["failed"] for trial in kept["trials"]] == [None] * 4


def test_the_figures(whole: Any) -> None:
    assert {row["series"] for row in whole.figure.data.rows} == {f"{Path(row['folder']).name}, validation" for row in whole.table.rows}
    by_optimizer, by_dropout = whole.against
    lowest = {
        name: min(row["validation loss"] for row in whole.table.rows if row["train.optimizer"] == name) for name in SPACE["train.optimizer"]
    }
    assert {row["label"]: row["lowest validation loss"] for row in by_optimizer.data.rows} == lowest
    assert sorted(row["model.dropout"] for row in by_dropout.data.rows) == [0.0, 0.0, 0.2, 0.2]


@pytest.mark.parametrize("stop", [1, 8, 11, 30])
def test_closed_after_any_step_and_resumed(whole: Any, tmp_path: Path, stop: int) -> None:
    events = searching(recipe(tmp_path), SPACE, out=tmp_path / "out")
    seen = 0
    for event in events:
        seen += isinstance(event, StepDone)
        if seen == stop:
            break
    events.close()  # type: ignore[attr-defined]
    again = list(searching(recipe(tmp_path), SPACE, out=tmp_path / "out", resume=True))
    # what was done is read, not run
    assert sum(isinstance(event, TrialStarted) for event in again) == 4 - (stop - 1) // 8
    assert sum(isinstance(event, StepDone) for event in again) == 32 - stop
    assert same(tmp_path / "out", whole.folder)
    (last,) = [event.found for event in again if isinstance(event, SearchDone)]
    columns = ("train.optimizer", "model.dropout", "validation loss", "best step")
    assert [[row[c] for c in columns] for row in last.table.rows] == [[row[c] for c in columns] for row in whole.table.rows]


CHILD = """
import sys
sys.path.insert(0, {tests!r})
from training.test_search import run
from pathlib import Path
run(Path({folder!r}), resume=True)
"""


@pytest.mark.parametrize("number", range(2))
def test_killed_at_a_random_moment_and_resumed(whole: Any, tmp_path: Path, number: int) -> None:
    source = CHILD.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path))
    child = subprocess.Popen([sys.executable, "-c", source], stderr=subprocess.DEVNULL)
    while not (tmp_path / "out" / "results.json").exists() and child.poll() is None:
        time.sleep(0.005)
    time.sleep(random.Random(number).uniform(0, 1.5))
    child.send_signal(signal.SIGKILL)
    child.wait()
    run(tmp_path, resume=True)
    assert same(tmp_path / "out", whole.folder)


def test_a_whole_search_resumed_runs_nothing(whole: Any) -> None:
    again = list(searching(recipe(whole.folder.parent), SPACE, out=whole.folder, resume=True))
    assert [type(event) for event in again] == [SearchDone]
    assert again[0].found.table == whole.table


def test_a_random_search_can_be_prolonged(tmp_path: Path) -> None:
    space = {"train.optimizer.lr": "log(1e-3, 1e-1)"}
    first = search(recipe(tmp_path, steps=2), space, trials=2, out=tmp_path / "out")
    more = list(searching(recipe(tmp_path, steps=2), space, trials=3, out=tmp_path / "out", resume=True))
    assert [event.number for event in more if isinstance(event, TrialStarted)] == [3]
    rows = more[-1].found.table.rows  # type: ignore[union-attr]
    assert {row["train.optimizer.lr"] for row in first.table.rows} < {row["train.optimizer.lr"] for row in rows}
    axis = more[-1].found.against[0].spec["encoding"]["x"]  # type: ignore[union-attr]
    assert axis["scale"]["type"] == "log"


def test_a_trial_that_diverges_is_a_result(tmp_path: Path) -> None:
    given, space = recipe(tmp_path), {"train.optimizer": ["adamw(lr=0.01)", "adamw(lr=1e30)"], "train.clip": [None]}
    events = list(searching(given, space, out=tmp_path / "out"))
    assert [bool(event.failed) for event in events if isinstance(event, TrialDone)] == [False, True]
    assert sum(isinstance(event, Finished) for event in events) == 1
    found = events[-1].found  # type: ignore[union-attr]
    assert found.table.rows[0]["train.optimizer"] == "adamw(lr=0.01)" and "finite" in found.table.rows[1]["failed"]
    assert "finite" in (tmp_path / "out" / "results.csv").read_text("utf-8")
    # tried again, and ended for the same reason
    again = list(searching(given, space, out=tmp_path / "out", resume=True))
    assert [event.number for event in again if isinstance(event, TrialStarted)] == [2]


def test_none_came_to_an_end(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"none of the 1 trials came to an end\n  001-.*finite"):
        search(recipe(tmp_path), {"train.optimizer": ["adamw(lr=1e30)"], "train.clip": [None]}, out=tmp_path / "out")


def test_vocabularies_are_compared_by_bits_per_byte(tmp_path: Path) -> None:
    found = search(recipe(tmp_path, steps=2), {"tokenizer": ["character", {"algorithm": "bpe", "vocab_size": 280}]}, out=tmp_path / "out")
    assert found.measure == "bits_per_byte" and found.best["validation bits per byte"] > 0
    assert "vocabularies differ" in found.table.notes[0]


def test_a_shared_vocabulary_is_learned_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from isinglass.training import recipe as recipes

    plain, calls = recipes.train_tokenizer, []
    monkeypatch.setattr(recipes, "train_tokenizer", lambda *given, **more: calls.append(given) or plain(*given, **more))
    search(recipe(tmp_path, steps=1), {"model.d_model": [16, 32], "seed": [0, 1]}, out=tmp_path / "out")
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("space", "text"),
    [
        ({"train.stepz": [1]}, r"unknown key 'train\.stepz'[\s\S]*did you mean 'steps'"),
        ({"train.optimizer.lrr": [0.1]}, r"unexpected keyword argument 'lrr'[\s\S]*in the trial with train\.optimizer\.lrr = 0\.1"),
        ({"train.optimizer": ["adamw", "adamv"]}, r"unknown optimizer 'adamv' in train\.optimizer[\s\S]*in the trial with train\.optimizer = 'adamv'"),
        ({"model.n_heads": [2, 3]}, r"in the trial with model\.n_heads = 3"),
        ({"train.validation": [0.1, 0]}, r"train\.validation = 0: a search compares by what is held out"),
        ({"train.clip": "uniform(0.1, 1)"}, "trials is missing"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_written(tmp_path: Path, space: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        searching(recipe(tmp_path), space, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_search_in_the_folder_is_not_overwritten(whole: Any) -> None:
    with pytest.raises(IsinglassError, match=r"there is a search in .*\nhint: go on with resume"):
        run(whole.folder.parent)


def test_a_search_does_not_go_on_as_another(whole: Any) -> None:
    given = recipe(whole.folder.parent, steps=9)
    with pytest.raises(
        CheckpointError,
        match=r"made with other settings[\s\S]*over\.model\.dropout was \[0\.0, 0\.2\], is \[0\.1\][\s\S]*recipe\.train\.steps was 8, is 9",
    ):
        searching(given, {**SPACE, "model.dropout": [0.1]}, out=whole.folder, resume=True)


def test_damaged_results_are_named(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"cannot read .*results\.json[\s\S]*hint: remove it"):
        run(tmp_path, resume=True)


def test_under_torchrun_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="a search runs in one process"):
        run(tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(IsinglassError, match=r"cannot write .*results\.json"):
        run(tmp_path)
