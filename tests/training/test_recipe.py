"""Recipes: one path from a file to the events of `training`, and errors that name file and key."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import isinglass as ig
from isinglass.core.errors import ConfigError, VariantError
from isinglass.training.events import Finished
from isinglass.training.loop import train
from isinglass.training.recipe import cook, read_recipe

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom. " * 12
RECIPE = """
model = "tiny(n_layers=1)"
tokenizer = "character"
data = {data!r}
seed = 4
[train]
steps = 3
batch_size = 4
context_length = 16
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(data=str(tmp_path / "text.txt")), encoding="utf-8")
    return path


def finished(recipe: Path, *overrides: str) -> Finished:
    asked = read_recipe(recipe, overrides)
    (last,) = [event for event in cook(asked, asked.lm()) if isinstance(event, Finished)]
    return last


def test_a_recipe_is_the_same_as_the_call(recipe: Path) -> None:
    lm = ig.create("tiny(n_layers=1)", tokenizer=ig.train_tokenizer("character", [TEXT]), seed=4)
    run = train(lm, recipe.parent / "text.txt", steps=3, seed=4, config={"batch_size": 4, "context_length": 16})
    ours, theirs = finished(recipe).run.lm.model.state_dict(), run.lm.model.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_settings_can_be_replaced(recipe: Path) -> None:
    last = finished(recipe, "train.steps=1", 'model.preset="tiny(n_layers=2)"', "model.attention.position=alibi", "tokenizer=gpt2")
    assert last.step == 1
    assert last.run.lm.config.n_layers == 2 and last.run.lm.config.attention.position == "alibi"
    assert last.run.lm.tokenizer.vocab_size == 50_257


def test_model_as_a_table(recipe: Path) -> None:
    text = recipe.read_text("utf-8").replace('model = "tiny(n_layers=1)"\n', "")
    recipe.write_text(text + '[model]\npreset = "tiny(n_layers=1)"\nattention = {n_kv_heads = 2}\n', encoding="utf-8")
    assert finished(recipe).run.lm.config.attention.n_kv_heads == 2


def test_a_trained_tokenizer_with_its_size(recipe: Path) -> None:
    recipe.write_text(recipe.read_text("utf-8").replace('"character"', '{algorithm = "bpe", vocab_size = 270}'), encoding="utf-8")
    assert finished(recipe).run.lm.tokenizer.vocab_size == 270


def test_it_goes_on_from_a_saved_run(recipe: Path, tmp_path: Path) -> None:
    first = finished(recipe, f"out={str(tmp_path / 'first')!r}").run
    text = recipe.read_text("utf-8").replace('model = "tiny(n_layers=1)"', f"model = {{load = {str(tmp_path / 'first')!r}}}")
    recipe.write_text(text.replace('tokenizer = "character"', ""), encoding="utf-8")
    second = finished(recipe).run
    assert second.rows[0]["loss"] < first.rows[0]["loss"]


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (("steps = 3", "stepss = 3"), ConfigError, r"recipe\.toml:7: unknown key 'train\.stepss'[\s\S]*did you mean 'steps'"),
        (("steps = 3", "steps = 0"), ConfigError, r"train\.steps = 0: Input should be greater than 0"),
        (("seed = 4", "seed = 4\nmodle = 3"), ConfigError, r"unknown key '.*modle'[\s\S]*did you mean 'model'"),
        (('model = "tiny(n_layers=1)"', 'model = "tinny"'), VariantError, r"unknown preset 'tinny'[\s\S]*did you mean 'tiny'"),
        (('model = "tiny(n_layers=1)"', "model = {}"), ConfigError, r"give either preset \(a fresh model\) or load"),
        (('model = "tiny(n_layers=1)"', 'model = {load="smollm2", attention={n_kv_heads=1}}'), ConfigError, "attention belongs to a fresh model"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(recipe: Path, change: tuple[str, str], error: type[Exception], text: str) -> None:
    recipe.write_text(recipe.read_text("utf-8").replace(*change), encoding="utf-8")
    with pytest.raises(error, match=text):
        finished(recipe)
