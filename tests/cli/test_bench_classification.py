"""`isinglass bench classification`."""

from __future__ import annotations

from pathlib import Path

import pytest

from isinglass.generation.lm import create, export


@pytest.fixture
def asked(tmp_path: Path) -> list[object]:
    """The command over a file as UCI has it, and a tiny model."""
    rows = [f"ham\tsee you at {n}\n" for n in range(30)] + [f"spam\tWIN {n} now!\n" for n in range(20)]
    (tmp_path / "SMSSpamCollection").write_text("".join(rows), encoding="utf-8")
    model = export(create("tiny(n_layers=2)", seed=1), tmp_path / "model", format="isinglass")
    return ["bench", "classification", model, "--file", tmp_path / "SMSSpamCollection", "--seeds", 1, "--reuse-texts", 20]


def test_every_run_and_what_reuse_saves(cli, asked):
    ran = cli(*asked, "--plans", "head,last_block", "--json", "--quiet")
    assert ran.code == 0, ran.err
    assert [run["plan"] for run in ran.json["runs"]] == ["head", "last_block"]
    assert ran.json["reuse"][0]["largest difference of a loss"] < 1e-5
    assert ran.err == ""


def test_people_see_a_table_and_the_progress(cli, asked, tmp_path):
    ran = cli(*asked, "--plans", "head", "--texts", 12, "--save", tmp_path / "ways.html")
    assert ran.code == 0, ran.err
    assert "24 texts" in ran.err and "head, seed 0: test" in ran.err
    assert "Ways to fine-tune a classifier" in ran.out and "TF-IDF" in ran.out
    assert "Every run" in (tmp_path / "ways.html").read_text("utf-8")


def test_an_unknown_plan(cli, asked):
    ran = cli(*asked, "--plans", "last_blok")
    assert ran.code != 0
    assert "unknown plan 'last_blok' in --plans" in ran.err and "did you mean 'last_block'?" in ran.err
