"""`isinglass bench fine-tuning`."""

from __future__ import annotations

import pytest

RECIPE = """
model = "tiny(n_layers=2)"
data = "words.txt"
[train]
steps = 2
batch_size = 4
context_length = 16
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("".join(f"word number {n} of them all\n\n" for n in range(60)), encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    return "recipe.toml"


def test_every_strategy_with_every_rank(cli, recipe):
    ran = cli("bench", "fine-tuning", recipe, "--strategies", "last_block,all", "--ranks", "none,2", "--json")
    assert ran.code == 0, ran.err
    rows = ran.json["runs"]
    assert [(row["strategy"], row["adapter"]) for row in rows] == [
        ("last_block", None), ("last_block", "lora(rank=2)"), ("all", None), ("all", "lora(rank=2)"),
    ]  # fmt: skip
    weights = [row["parameters"] for row in rows]
    assert weights[1] < weights[0] < weights[2] and weights[1] < weights[3] < weights[2]
    assert all(row["loss"] > 0 and row["seconds"] > 0 and row["peak MB"] > 0 for row in rows)


def test_adapters_of_any_kind(cli, recipe):
    ran = cli("bench", "fine-tuning", recipe, "--adapters", "lora(rank=2, alpha=8); prefix(length=3)", "--set", "train.steps=1")
    assert ran.code == 0, ran.err
    assert "Ways to fine-tune" in ran.out and "prefix(length=3): loss" in ran.err and "lora(rank=2, alpha=8): loss" in ran.err


def test_ranks_beside_adapters(cli, recipe):
    ran = cli("bench", "fine-tuning", recipe, "--ranks", "2", "--adapters", "prefix")
    assert ran.code != 0 and "--ranks beside --adapters" in ran.err and "hint: write ranks as adapters" in ran.err
