"""Instruction tuning on the command line: which tokens are trained, and what merging the adapter changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DATA = [{"instruction": f"Spell {word}", "output": "-".join(word)} for word in ("one", "two", "six", "ten", "four", "five")]


@pytest.fixture
def instructions(tmp_path: Path) -> Path:
    path = tmp_path / "instructions.json"
    path.write_text(json.dumps(DATA), encoding="utf-8")
    return path


def test_show_marks_what_is_trained(cli: Callable[..., Any], instructions: Path, tmp_path: Path) -> None:
    asked = ("data", "show", instructions, "--tokenizer", "gpt2", "--objective", "instruction", "--first", 2)
    ran = cli(*asked, "--save", tmp_path / "page.html")
    assert ran.code == 0, ran.err
    assert "What is trained" in ran.out and "tokens are trained: they are filled" in ran.out and "<|endoftext|>█" in ran.out
    assert "What is trained" in (tmp_path / "page.html").read_text("utf-8")
    trained = cli(*asked, "--json").json["trained"]
    of_second = [row["token"] for row in trained if row["trained"] and row["tokenizer"].endswith("[1]")]
    assert "".join(of_second) == "t-w-o<|endoftext|>"


def test_show_needs_a_tokenizer(cli: Callable[..., Any], instructions: Path) -> None:
    ran = cli("data", "show", instructions, "--objective", "instruction")
    assert ran.code == 2
    assert "--objective shows tokens, and needs to know whose" in ran.err and "hint: add --tokenizer smollm2" in ran.err


def test_training_with_a_lora_says_what_merging_changed(cli: Callable[..., Any], instructions: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'model = "tiny"\ndata = {str(instructions)!r}\nobjective = "instruction"\nadapter = "lora(rank=2)"\n'
        "[train]\nsteps = 2\nbatch_size = 2\ncontext_length = 192\nvalidation = 0.2\n",
        encoding="utf-8",
    )
    ran = cli("train", recipe)
    assert ran.code == 0, ran.err
    assert "What merging the adapter changes" in ran.out and "merged beside adapted" in ran.out
    rows = cli("train", recipe, "--json").json["merge_drift"]
    assert [row["what"] for row in rows][:2] == ["merged beside adapted", "merged and unmerged beside the base model"]
    assert 0 <= rows[0]["largest difference"] < 1e-4


def test_one_talks_with_a_base_model_that_was_tuned(cli: Callable[..., Any], instructions: Path, tmp_path: Path) -> None:
    """The template it was trained in is saved with it."""
    recipe, run = tmp_path / "recipe.toml", tmp_path / "run"
    recipe.write_text(
        f'model = "tiny(context_length=400)"\ndata = {str(instructions)!r}\nobjective = "instruction"\n'
        "[train]\nsteps = 1\nbatch_size = 2\ncontext_length = 192\n",
        encoding="utf-8",
    )
    assert cli("train", recipe, "--out", run).code == 0
    for folder in (run, run / "best"):
        ran = cli("chat", folder, "Spell nine", "--max-tokens", 3, "--json")
        assert ran.code == 0, ran.err
        assert ran.json["messages"][-1]["role"] == "assistant"
    assert cli("generate", run, "Spell", "--max-tokens", 2).code == 0
