"""`isinglass train search` and `isinglass train compare`."""

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
from isinglass.cli import train_compare, train_search
from isinglass.cli.main import build_app

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. " * 40
RECIPE = """
model = "tiny(n_layers=1, d_model=16)"
tokenizer = "character"
data = {data!r}
[train]
steps = 6
batch_size = 4
context_length = 16
evaluate_every = 3
"""
GRID = ("--over", 'train.optimizer=["adamw(lr=0.01)", "muon(lr=0.01)"]')


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(data=str(tmp_path / "text.txt")), encoding="utf-8")
    return path


@pytest.mark.parametrize("example", [*train_search.EXAMPLES, *train_compare.EXAMPLES])
def test_examples_are_understood(example: str) -> None:
    function, _, _ = build_app().parse_args(shlex.split(example)[1:], exit_on_error=False, print_error=False)
    assert function.__module__ in ("isinglass.cli.train_search", "isinglass.cli.train_compare")


def test_a_search_and_its_runs_compared(cli: Callable[..., Any], recipe: Path, tmp_path: Path) -> None:
    ran = cli("train", "search", recipe, *GRID, "--out", tmp_path / "out", "--save", tmp_path / "search.html")
    assert ran.code == 0, ran.err
    assert "trial 1 of 2: train.optimizer = adamw(lr=0.01)" in ran.err and "step 3 of 6: validation loss" in ran.err
    assert ran.out.startswith("Trials\n") and "Validation loss against train.optimizer" in ran.out
    assert "Trials compared" in (tmp_path / "search.html").read_text("utf-8")
    folders = sorted(path for path in (tmp_path / "out").iterdir() if path.is_dir())
    compared = cli("train", "compare", *folders, "--by", "tokens", "--save", tmp_path / "runs.svg")
    assert compared.code == 0, compared.err
    assert compared.out.startswith("Runs\n") and "002-optimizer=muon-lr=0.01, validation" in compared.out
    assert (tmp_path / "runs.svg").read_text("utf-8").startswith("<svg")
    found = cli("train", "compare", *folders, "--json").json
    assert [run["train.optimizer"] for run in found["runs"]] == ["adamw(lr=0.01)", "muon(lr=0.01)"]


def test_json_of_a_random_search(cli: Callable[..., Any], recipe: Path, tmp_path: Path) -> None:
    over = ("--over", "train.optimizer.lr=log(1e-4, 1e-1)", "--over", "model.dropout=uniform(0, 0.3)")
    ran = cli("train", "search", recipe, *over, "--trials", 3, "--set", "train.steps=3", "--out", tmp_path / "out", "--json", "--quiet")
    found = json.loads(ran.out)
    losses = [trial["validation loss"] for trial in found["trials"]]
    assert losses == sorted(losses) and len(losses) == 3 and found["best"] == found["trials"][0] and ran.err == ""
    assert all(1e-4 <= trial["train.optimizer.lr"] <= 1e-1 and 0 <= trial["model.dropout"] <= 0.3 for trial in found["trials"])


def test_ctrl_c_and_resume_end_where_a_whole_search_ends(cli: Callable[..., Any], recipe: Path, tmp_path: Path) -> None:
    given = [
        "train",
        "search",
        str(recipe),
        *GRID,
        "--set",
        "train.steps=20",
        "--set",
        "train.evaluate_every=10",
        "--set",
        "train.save_every=4",
    ]
    child = subprocess.Popen(command(*given, "--out", tmp_path / "out"), stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("out/*/metrics.csv")) and child.poll() is None:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=120)
    if child.returncode == 130:  # else it was quicker than we
        assert "stopped; go on with the same command and --resume" in said
    for where, more in (("out", ["--resume"]), ("whole", [])):
        assert cli(*given, "--out", tmp_path / where, "--quiet", *more).code == 0
    ours, theirs = (sorted((tmp_path / where).glob("*/model.safetensors")) for where in ("out", "whole"))
    assert len(ours) == len(theirs) == 2
    for one, other in zip(map(load_file, ours), map(load_file, theirs), strict=True):
        assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["search", "RECIPE", "--out", "OUT"], 2, "OVER is missing"),
        (["search", "RECIPE", *GRID], 2, "a search needs a folder for its trials\nhint: add --out FOLDER"),
        (["search", "RECIPE", *GRID, *GRID, "--out", "OUT"], 2, "--over train.optimizer is given twice"),
        (["search", "RECIPE", "--over", "train.stepz=[1]", "--out", "OUT"], 2, "did you mean 'steps'?"),
        (["search", "RECIPE", "--over", "train.clip=[]", "--out", "OUT"], 2, "train.clip = []: expected at least one value"),
        (["search", "RECIPE", "--over", "train.clip=1", "--out", "OUT"], 2, "expected a list of values or a range"),
        (["search", "RECIPE", "--over", "train.clip=uniform(0.1, 1)", "--out", "OUT"], 2, "trials is missing"),
        (["search", "RECIPE", "--over", "train.clip=uniform(0.1, 1)", "--trials", "0", "--out", "OUT"], 2, "at least 1"),
        (["search", "nothing.toml", *GRID, "--out", "OUT"], 2, "no file 'nothing.toml'"),
        (["compare"], 2, "no run to compare"),
        (["compare", "nowhere"], 1, "'nowhere' holds no run"),
        (["compare", "nowhere", "--by", "hours"], 2, "hours"),
    ],
)
def test_wrong_usage(cli: Callable[..., Any], recipe: Path, tmp_path: Path, arguments: list[str], code: int, text: str) -> None:
    places = {"RECIPE": recipe, "OUT": tmp_path / "out"}
    ran = cli("train", *[places.get(argument, argument) for argument in arguments])
    assert ran.code == code and text in ran.err and "Traceback" not in ran.err
    assert not (tmp_path / "out").exists()
