"""The recipes of alignment: they can be read, their objectives are what they say, and the reward function of the example rewards."""

from __future__ import annotations

from pathlib import Path

import pytest

from isinglass.training import objectives
from isinglass.training.objectives.dpo import DPO
from isinglass.training.objectives.ppo import PPO
from isinglass.training.objectives.reward import RewardModel
from isinglass.training.prompting import Prompting
from isinglass.training.recipe import read_recipe
from isinglass.training.rewards import judge

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(("name", "kind"), [("reward", RewardModel), ("dpo", DPO), ("ppo", PPO)])
def test_recipes(name: str, kind: type) -> None:
    recipe = read_recipe(EXAMPLES / f"{name}.toml")
    assert isinstance(objectives.family.resolve(recipe.objective), kind)
    assert recipe.data == "kjv-web"


def test_the_reward_of_the_example() -> None:
    modern = judge(str(EXAMPLES / "modern_reward.py"), Prompting())
    old, new, short = modern.scores(["", "", ""], ["Thou hast ten sheep", "You have ten sheep", "You"])
    assert new > short > old
    assert (old, new) == (0.2 - 2, 0.2)
