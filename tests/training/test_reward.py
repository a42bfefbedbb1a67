"""The reward model against Bradley and Terry's formula, and what it learns; judges, made from a model, a file or a function."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import isinglass as ig
from isinglass.core.errors import ConfigError, TrainingError, VariantError
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.models.headed import HeadedModel
from isinglass.training.loop import train
from isinglass.training.objectives import reward
from isinglass.training.objectives.reward import preference_loss
from isinglass.training.prompting import Prompting
from isinglass.training.rewards import judge

RECORDS = [{"prompt": f"say {a}{b}: ", "chosen": f"the {a}{b} is good", "rejected": f"ye {a} {b} hath"} for a in "abcdef" for b in "wxyz"]
CONFIG: dict[str, Any] = dict(context_length=64, batch_size=8, optimizer="adamw(lr=0.003)")
PROMPTING = Prompting(template="plain")


def test_golden_values() -> None:
    """log(1 + e^-(difference - margin))."""
    chosen, rejected = torch.tensor([1.5, 2.0, -1.0]), torch.tensor([1.5, 0.0, 1.0])
    torch.testing.assert_close(preference_loss(chosen, rejected), torch.tensor([math.log(2), 0.126928, 2.126928]), atol=1e-6, rtol=0)
    torch.testing.assert_close(preference_loss(chosen, rejected, 2.0), torch.tensor([2.126928, math.log(2), 4.018150]), atol=1e-6, rtol=0)


def test_it_starts_at_ln_2_where_rewards_are_equal(make_lm: Callable[..., LM]) -> None:
    goal, lm = reward.build(), make_lm("tiny")
    model = goal.trainee(lm, 0)
    assert isinstance(model, HeadedModel)
    with torch.no_grad():
        model.heads["reward"].out_proj.weight.zero_()  # type: ignore[union-attr]
    batch = goal.collate(goal.examples(lm, [Record(one, "1") for one in RECORDS], 64), [0] * len(RECORDS))
    loss = goal.loss(model, batch)
    assert batch.n_targets == len(RECORDS)
    assert loss.total.item() / batch.n_targets == pytest.approx(math.log(2), abs=1e-6)


def test_figures_are_those_of_single_passes(make_lm: Callable[..., LM]) -> None:
    goal, lm = reward.build(margin=0.5), make_lm("tiny")
    model = goal.trainee(lm, 3)
    losses, right, margins = [], [], []
    for one in RECORDS[:5]:
        chosen, rejected = (model(torch.tensor([lm.encode(one["prompt"] + one[x])]))["reward"].item() for x in ("chosen", "rejected"))
        losses.append(math.log(1 + math.exp(-(chosen - rejected - 0.5))))
        right.append(chosen > rejected)
        margins.append(chosen - rejected)
    batch = goal.collate(goal.examples(lm, [Record(one, "1") for one in RECORDS[:5]], 64), [0] * 5)
    found = goal.loss(model, batch)
    figures = goal.figures(found.total.item(), batch.n_targets, found.sums)
    assert figures["loss"] == pytest.approx(sum(losses) / 5, abs=1e-5)
    assert figures["accuracy"] == sum(right) / 5
    assert figures["margin"] == pytest.approx(sum(margins) / 5, abs=1e-5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reward")
    run = train(ig.create("tiny", seed=1), RECORDS, objective="reward(template='plain')", steps=20, out=folder, config=CONFIG)
    assert run.rows[-1]["accuracy"] == 1.0
    assert run.rows[-1]["validation_accuracy"] == 1.0
    assert run.rows[-1]["loss"] < 0.1
    return folder


def test_a_saved_reward_model_judges(trained: Path) -> None:
    """Read from its folder it gives each response the number that the model gives to prompt and response."""
    judged = judge(str(trained), PROMPTING)
    prompts = ["say ax: ", "say ax: "]
    scores = judged.scores(prompts, ["the ax is good", "ye a x hath"])
    assert scores[0] > scores[1] + 1
    lm = ig.load(trained)
    alone = lm.model(torch.tensor([lm.encode("say ax: ye a x hath")]))["reward"]
    assert scores[1] == pytest.approx(float(alone), abs=1e-5)
    assert judge(lm, PROMPTING).scores(prompts, ["the ax is good", "ye a x hath"]) == scores
    assert judge(judged, PROMPTING) is judged
    assert "reward model" in repr(judged)


def test_a_function_and_a_file_judge(tmp_path: Path) -> None:
    file = tmp_path / "my_reward.py"
    file.write_text("WORST = -3\ndef reward(prompt, response):\n    return WORST if prompt in response else len(response)\n")
    assert judge(str(file), PROMPTING).scores(["a", "a"], ["bcd", "cab"]) == [3.0, -3.0]
    assert repr(judge(str(file), PROMPTING)) == str(file)
    assert judge(lambda prompt, response: 0.5, PROMPTING).scores(["a"], ["b"]) == [0.5]


def test_what_cannot_judge(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(VariantError, match=r"empty\.py' defines no function reward\(prompt, response\)\nhint: it takes two texts"):
        judge(str(tmp_path / "empty.py"), PROMPTING)
    with pytest.raises(VariantError, match=r"no file '.*none\.py'\nhint: give the path of a Python file that defines reward"):
        judge(str(tmp_path / "none.py"), PROMPTING)
    with pytest.raises(ConfigError, match=r"created has no reward head, so it cannot judge a response\nhint: train one first"):
        judge(ig.create("tiny"), PROMPTING)
    with pytest.raises(TrainingError, match=r"the reward function .* gave nan, expected a finite number\n  prompt 'a'\n  response 'b'"):
        judge(lambda prompt, response: float("nan"), PROMPTING).scores(["a"], ["b"])
    with pytest.raises(VariantError, match=r"reward: margin = -1\.0, expected 0 or more"):
        reward.build(margin=-1.0)
