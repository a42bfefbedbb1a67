"""`isinglass inspect compare`, `timeline` and `architecture`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.kinds import KINDS
from isinglass.generation.lm import create, export
from isinglass.training.loop import train


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(KINDS["bert"](), tmp_path_factory.mktemp("models") / "bert", format="isinglass")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    config = {"context_length": 16, "batch_size": 4, "keep": "all"}
    train(create("tiny"), ["to be or not to be " * 40], out=folder, steps=3, save_every=1, config=config)
    return folder


def test_compare_as_json(cli: Any, byte_folder: Path, tiny_folder: Path) -> None:
    ran = cli("inspect", "compare", byte_folder, tiny_folder, "Hello, world!", "--top", 3, "--json", "--quiet")
    assert ran.code == 0
    assert ran.err == ""
    assert [row["vocabulary"] for row in ran.json["models"]] == [256, 50_257]
    assert [row["text"] for row in ran.json["spans"]] == ["Hello", ",", " world", "!"]
    assert ran.json["n_common_strings"] <= 256
    assert 3 <= len(ran.json["predictions"]) <= 6


def test_compare_with_itself_and_with_an_encoder(cli: Any, byte_folder: Path, bert: Path) -> None:
    assert cli("inspect", "compare", byte_folder, byte_folder, "Hello", "--json").json["jensen_shannon_nats"] == 0
    ran = cli("inspect", "compare", byte_folder, bert, "Hello")
    assert ran.code == 0
    assert "not both models predict" in " ".join(ran.out.split())


def test_compare_saves(cli: Any, byte_folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "both.html"
    assert cli("inspect", "compare", byte_folder, byte_folder, "Hello", "--save", page).code == 0
    assert "isinglass inspect compare" in page.read_text("utf-8")


def test_timeline_of_heads_is_the_default(cli: Any, run: Path) -> None:
    ran = cli("inspect", "timeline", run, "--json", "--quiet")
    assert ran.code == 0
    assert ran.err == ""
    assert [one["step"] for one in ran.json["checkpoints"]] == [1, 2, 3]
    assert all(0 <= one["values"]["induction score"] <= 1 for one in ran.json["checkpoints"])


def test_timeline_of_a_prompt(cli: Any, run: Path, tmp_path: Path) -> None:
    ran = cli("inspect", "timeline", run, "--prompt", "to b", "--answer", "e", "--save", tmp_path / "e.svg")
    assert ran.code == 0
    assert "probability of 'e'" in " ".join(ran.out.split())
    assert "--prompt 'to b' --answer e" in " ".join(ran.out.split())
    assert "<svg" in (tmp_path / "e.svg").read_text("utf-8")


def test_timeline_of_the_loss(cli: Any, run: Path) -> None:
    ran = cli("inspect", "timeline", run, "--view", "loss", "--json")
    assert ran.json["checkpoints"][0]["values"] == {}
    assert len(ran.json["losses"]["training loss"]) == 3


def test_what_is_no_run(cli: Any, tmp_path: Path, run: Path) -> None:
    ran = cli("inspect", "timeline", tmp_path)
    assert ran.code == 1
    assert "holds no run" in ran.err
    ran = cli("inspect", "timeline", run, "--view", "predict")
    assert ran.code != 0
    assert "needs a prompt" in ran.err


def test_architecture_reads_no_weights(cli: Any, tmp_path: Path) -> None:
    picture = tmp_path / "gpt2.svg"
    ran = cli("inspect", "architecture", "gpt2(size='1558m')", "--save", picture)
    assert ran.code == 0
    assert "48 layers" in ran.out
    assert "attention.weights" in picture.read_text("utf-8")


def test_architecture_as_json(cli: Any, bert: Path) -> None:
    found = cli("inspect", "architecture", bert, "--json").json
    assert found["n_parameters"] == sum(row["parameters"] for row in found["parts"])
    assert found["taps"][-1]["tap"] == "heads.masked_lm"
    assert cli("inspect", "architecture", "no_such_model").code != 0


def test_norms_by_experiment(cli: Any, byte_folder: Path) -> None:
    found = cli("inspect", "architecture", byte_folder, "--view", "norms", "--json").json
    assert found["changes"]["one more text"]["LayerNorm"] == 0
    assert found["changes"]["one more text"]["BatchNorm"] > 0.1
