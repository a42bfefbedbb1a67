"""`isinglass train` and `isinglass bench train`."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers.command import command
from isinglass.cli import bench_train, train
from isinglass.cli.main import build_app
from isinglass.training.recipe import read_recipe

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. " * 40
RECIPE = """
model = "tiny(n_layers=2, dropout=0.1)"
tokenizer = "character"
data = {data!r}
[train]
steps = {steps}
batch_size = 4
context_length = 16
evaluate_every = 5
samples = ["It was"]
sample_tokens = 4
"""
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[int], Path]:
    def write(steps: int) -> Path:
        (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
        path = tmp_path / "recipe.toml"
        path.write_text(RECIPE.format(data=str(tmp_path / "text.txt"), steps=steps), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("example", [*train.EXAMPLES, *bench_train.EXAMPLES])
def test_examples_are_understood(example: str) -> None:
    function, _, _ = build_app().parse_args(shlex.split(example)[1:], exit_on_error=False, print_error=False)
    assert function.__module__ in ("isinglass.cli.train", "isinglass.cli.bench_train")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_example_is_a_recipe(path: Path) -> None:
    asked = read_recipe(path)
    assert asked.data and (asked.model.preset or asked.model.load)


def test_a_recipe_is_carried_out(cli: Callable[..., Any], recipe: Callable[[int], Path], tmp_path: Path) -> None:
    ran = cli("train", recipe(10), "--out", tmp_path / "run", "--save", tmp_path / "curve.html")
    assert ran.code == 0, ran.err
    assert "Evaluations" in ran.out and "Loss while training" in ran.out
    assert "weights" in ran.err and "step 5 of 10: validation loss" in ran.err and "writes: It was" in ran.err
    assert "Loss while training" in (tmp_path / "curve.html").read_text("utf-8")
    assert {"best", "checkpoints", "metrics.csv", "model.safetensors", "run.toml", "samples.md"} <= {
        p.name for p in (tmp_path / "run").iterdir()
    }


def test_json(cli: Callable[..., Any], recipe: Callable[[int], Path]) -> None:
    found = cli("train", recipe(6), "--set", "train.steps=4", "--json", "--quiet").json
    assert (found["steps"], found["reason"], len(found["rows"])) == (4, "steps", 4)
    assert found["evaluations"][-1]["validation_loss"] == found["best_loss"]


def test_ctrl_c_keeps_what_is_done_and_resume_ends_where_the_whole_run_ends(recipe: Callable[[int], Path], tmp_path: Path) -> None:
    path = recipe(60)
    child = subprocess.Popen([*command(), "train", str(path), "--out", str(tmp_path / "run")], stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "run" / "metrics.csv"
    while not metrics.exists() and child.poll() is None:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=120)
    if child.returncode == 130:  # else it was quicker than we
        assert f"stopped; go on with: isinglass train {path} --out {tmp_path / 'run'} --resume" in said
    for where, more in (("run", ["--resume"]), ("whole", [])):
        subprocess.run(
            [*command(), "train", str(path), "--out", str(tmp_path / where), "--quiet", *more], check=True, stdout=subprocess.DEVNULL
        )
    one, other = (load_file(tmp_path / where / "model.safetensors") for where in ("run", "whole"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["nothing.toml"], 2, "no file 'nothing.toml'"),
        (["RECIPE", "--resume"], 2, "--resume needs the folder of the run\nhint: add --out FOLDER"),
        (["RECIPE", "--set", "train.stepz=3"], 2, "did you mean 'steps'?"),
        (["RECIPE", "--set", "data=nowhere.txt"], 1, "nowhere.txt"),
    ],
)
def test_wrong_usage(cli: Callable[..., Any], recipe: Callable[[int], Path], arguments: list[str], code: int, text: str) -> None:
    path = recipe(2)
    ran = cli("train", *[path if argument == "RECIPE" else argument for argument in arguments])
    assert ran.code == code and text in ran.err and "Traceback" not in ran.err


@pytest.mark.slow
def test_bench_train_runs_the_peer_and_ours(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    ran = cli("bench", "train", tmp_path / "text.txt", "--steps", 4, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert [run["who"] for run in found["runs"]] == ["plain torch", "same", "fast"]
    assert all(run["tokens per second"] > 0 and run["peak_rss_bytes"] > 1e7 and 0 < run["validation loss"] < 6 for run in found["runs"])
    assert [row["way"] for row in found["ratios"]] == ["same", "fast"]
    assert cli("bench", "train", tmp_path / "text.txt", "--ways", "fastest").code == 2
    assert "no file" in cli("bench", "train", tmp_path / "none.txt").err
