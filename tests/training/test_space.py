"""What a search varies: lists, ranges, points, and where a value goes in a recipe."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isinglass.core.errors import ConfigError, VariantError
from isinglass.training.ranges import family
from isinglass.training.recipe import Recipe
from isinglass.training.space import points, space_of, trial_names, with_values

RECIPE = Recipe.model_validate(
    {"model": "tiny(n_layers=1, feedforward=\"mlp(activation='gelu')\")", "data": "kjv", "train": {"optimizer": "adamw(lr=0.001)"}}
)


def drawn(expression: str, count: int = 2000) -> list[Any]:
    source, one = random.Random(0), family.resolve(expression)
    return [one.draw(source) for _ in range(count)]


def test_uniform_is_uniform() -> None:
    values = drawn("uniform(-1, 3)")
    assert all(-1 <= value <= 3 for value in values)
    assert [sum(low <= value < low + 1 for value in values) / len(values) for low in range(-1, 3)] == pytest.approx([0.25] * 4, abs=0.03)


def test_log_draws_each_order_of_magnitude_alike() -> None:
    values = drawn("log(1e-5, 1e-2)")
    shares = [sum(10.0**power <= value < 10.0 ** (power + 1) for value in values) / len(values) for power in (-5, -4, -3)]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.035)


def test_integers_and_choice() -> None:
    assert set(drawn("integers(2, 5)")) == {2, 3, 4, 5}
    assert set(drawn("choice(adamw(lr=0.001), 'cosine', 3)")) == {"adamw(lr=0.001)", "cosine", 3}
    assert drawn("choice([1, 2])", 1) == [[1, 2]]


@given(low=st.floats(1e-9, 1e9), factor=st.floats(1.0001, 1e6), name=st.sampled_from(["log", "uniform"]), seed=st.integers(0, 10**6))
def test_what_is_drawn_is_inside_and_short(low: float, factor: float, name: str, seed: int) -> None:
    high = low * factor
    value = family.resolve(f"{name}({low!r}, {high!r})").draw(random.Random(seed))
    assert low <= value <= high
    assert value in (low, high) or value == float(f"{value:.3g}")


def test_a_grid_is_every_combination() -> None:
    found = points(space_of({"seed": [0, 1], "train.clip": [0.5, 1.0, 2.0]}), None, 0)
    assert len(found) == 6 and found[0] == {"seed": 0, "train.clip": 0.5} and found[5] == {"seed": 1, "train.clip": 2.0}


def test_points_of_a_grid_are_drawn_without_repetition() -> None:
    space = space_of({"seed": list(range(5)), "train.clip": [0.5, 1.0]})
    found = points(space, 10, 3)
    assert len({tuple(point.values()) for point in found}) == 10
    assert points(space, 4, 3) == found[:4]


def test_more_trials_begin_with_the_same_points_and_another_seed_with_others() -> None:
    space = space_of(
        {"train.optimizer.lr": "log(1e-4, 1e-2)", "model.dropout": "uniform(0, 0.3)", "train.schedule": ["constant", "linear"]}
    )
    assert points(space, 12, 0)[:5] == points(space, 5, 0)
    assert points(space, 5, 0) != points(space, 5, 1)
    # a key draws the same whatever is varied beside it
    alone = points({"model.dropout": space["model.dropout"]}, 5, 0)
    assert [point["model.dropout"] for point in alone] == [point["model.dropout"] for point in points(space, 5, 0)]


def test_what_was_drawn_is_not_drawn_again_while_there_is_something_else() -> None:
    found = points(space_of({"seed": "integers(1, 6)"}), 6, 0)
    assert sorted(point["seed"] for point in found) == [1, 2, 3, 4, 5, 6]
    assert len(points(space_of({"seed": "integers(1, 2)"}), 4, 0)) == 4


@pytest.mark.parametrize(
    ("space", "trials", "error", "text"),
    [
        ({}, None, ConfigError, "a search needs at least one key to vary"),
        ({"train.steps": []}, None, ConfigError, r"train\.steps = \[\]: expected at least one value"),
        ({"train.steps": 3}, None, ConfigError, r"train\.steps = 3: expected a list of values or a range[\s\S]*hint: train\.steps=\[3\]"),
        ({"out": ["a"]}, None, ConfigError, "out cannot be varied"),
        ({"train.clip": "unifrom(0, 1)"}, 3, VariantError, r"unknown range 'unifrom' in train\.clip[\s\S]*did you mean 'uniform'"),
        ({"train.clip": "uniform(1, 0)"}, 3, VariantError, r"train\.clip = 'uniform\(1, 0\)': low = 1\.0, high = 0\.0: expected low below high"),
        ({"train.clip": "log(0, 1)"}, 3, VariantError, r"log: low = 0\.0, expected more than 0\nhint: uniform"),
        ({"train.clip": "choice()"}, 3, VariantError, r"choice\(\) has nothing to choose from"),
        ({"train.clip": "uniform(0, 1)"}, None, ConfigError, r"trials is missing[\s\S]*train\.clip = Uniform\(low=0\.0, high=1\.0\)\nhint: trials = 8"),
        ({"seed": [1, 2]}, 3, ConfigError, r"trials = 3: these lists have 2 combinations\nhint: leave trials out"),
    ],
)  # fmt: skip
def test_wrong_spaces(space: dict[str, Any], trials: int | None, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        points(space_of(space), trials, 0)


def test_values_go_to_their_keys_also_inside_expressions() -> None:
    point = {
        "train.optimizer.lr": 0.01,
        "train.optimizer": "muon(lr=1.0, momentum=0.9)",
        "train.steps": 7,
        "model.attention.position": "alibi",
    }
    changed = with_values(RECIPE, {**point, "model.dropout": 0.1, "model.feedforward.activation": "silu"})
    assert changed.train.optimizer == "muon(lr=0.01, momentum=0.9)"
    assert (changed.train.steps, changed.model.attention) == (7, {"position": "alibi"})
    assert changed.model.preset == "tiny(n_layers=1, feedforward=\"mlp(activation='silu')\", dropout=0.1)"
    assert RECIPE.train.optimizer == "adamw(lr=0.001)"


def test_no_value_is_the_default_again() -> None:
    assert with_values(RECIPE, {"train.clip": None}).train.clip is None


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("train.stepz", r"unknown key 'train\.stepz'[\s\S]*did you mean 'steps'"),
        ("trian.steps", r"unknown key 'trian'[\s\S]*did you mean 'train'"),
        ("train.steps.more", r"train\.steps"),
        ("seed.more", r"cannot vary 'seed\.more': seed is 0, which has no parts"),
        ("model.feedforwrd.activation", r"cannot vary 'model\.feedforwrd\.activation': .* has no expression for feedforwrd"),
        ("train.precision.x.y", r"cannot vary 'train\.precision\.x\.y': 'float32' has no expression for x"),
    ],
)
def test_wrong_keys(key: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        with_values(RECIPE, {key: 3})


def test_names_are_folders_one_can_read() -> None:
    found = [{"train.optimizer": "adamw(lr=0.001)", "model.dropout": 0.1}, {"train.optimizer": "ü/../" + "x" * 300, "model.dropout": 0.0}]
    names = trial_names(dict.fromkeys(found[0]), found)
    assert names[0] == "001-optimizer=adamw-lr=0.001,dropout=0.1"
    assert "/" not in names[1] and len(names[1]) < 80
    assert trial_names({"a.lr": 0, "b.lr": 0}, [{"a.lr": 1, "b.lr": 2}]) == ["001-a.lr=1,b.lr=2"]
