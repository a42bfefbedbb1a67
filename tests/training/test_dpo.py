"""DPO against numbers typed from its definition, against a loop in torch with two models, and what it promises about its start."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import isinglass as ig
from isinglass.core.errors import ConfigError, VariantError
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.training.loop import train
from isinglass.training.objective import Objective
from isinglass.training.objectives import dpo
from isinglass.training.objectives.dpo import dpo_loss

RECORDS = [
    {"prompt": f"say {a}{b}: ", "chosen": f"the {a}{b} is good", "rejected": f"ye {a} {b} hath, behold"} for a in "abcd" for b in "xyz"
]
CONFIG: dict[str, Any] = dict(
    context_length=64, batch_size=4, optimizer="adamw(lr=0.01, weight_decay=0.0)", schedule="constant(warmup=0)", validation=0, clip=None
)
GENTLE = {**CONFIG, "optimizer": "adamw(lr=0.001, weight_decay=0.0)"}


def test_golden_values() -> None:
    """-log sigmoid(0.1 ((chosen - reference) - (rejected - reference))) of log-probabilities that were typed in."""
    chosen, rejected = torch.tensor([-0.5, -10.0, -1.0]), torch.tensor([-0.1, -30.0, -21.0])
    reference_chosen, reference_rejected = torch.tensor([-0.5, -10.1, -0.1]), torch.tensor([-0.1, -20.1, -0.1])
    losses = dpo_loss(0.1 * ((chosen - reference_chosen) - (rejected - reference_rejected)))
    torch.testing.assert_close(losses, torch.tensor([0.693147, 0.313262, 0.126928]), atol=1e-6, rtol=0)


def test_label_smoothing() -> None:
    """A choice that is wrong one time in ten: nine tenths of one loss and one tenth of the other; least where the odds are 9 : 1."""
    margin = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    expected = 0.9 * 0.12692801104297263 + 0.1 * 2.1269280110429727  # log(1 + e^-2), log(1 + e^2)
    assert dpo_loss(margin, 0.1).item() == pytest.approx(expected, abs=1e-12)
    odds = torch.tensor([9.0], dtype=torch.float64).log().requires_grad_()
    (slope,) = torch.autograd.grad(dpo_loss(odds, 0.1).sum(), odds)
    assert float(slope) == pytest.approx(0, abs=1e-12)


def first_step(objective: str | Objective, lm: LM, **more: Any) -> dict[str, Any]:
    return train(lm, RECORDS, objective=objective, steps=1, config=CONFIG, **more).rows[0]


@pytest.mark.parametrize("adapter", [None, "lora(rank=2)"])
@pytest.mark.parametrize("objective", ["dpo", "dpo(log_probs='mean')", "dpo(label_smoothing=0.2)"])
def test_it_starts_at_ln_2(make_lm: Callable[..., LM], objective: str, adapter: str | None) -> None:
    row = first_step(objective, make_lm("tiny(dropout=0.1)"), adapter=adapter)
    assert row["loss"] == pytest.approx(0.6931472, abs=1e-6)
    for name in ("margin", "chosen_reward", "rejected_reward", "kl"):
        assert row[name] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("log_probs", ["sum", "mean"])
def test_equals_two_models_written_out_in_torch(log_probs: str) -> None:
    """A policy and a frozen copy, one text at a time, all logits: the same losses for four steps."""
    lm = ig.create("tiny", seed=2)
    run = train(lm, RECORDS[:4], objective=f"dpo(beta=0.3, log_probs='{log_probs}', label_smoothing=0.1)", steps=4, config=GENTLE)
    policy, reference = copy.deepcopy(lm.decoder).requires_grad_(True), lm.decoder
    optimizer = torch.optim.AdamW(policy.parameters(), lr=0.001, betas=(0.9, 0.95), weight_decay=0.0)

    def total(model: torch.nn.Module, prompt: str, response: str) -> torch.Tensor:
        start, ids = len(lm.encode(prompt)), torch.tensor([lm.encode(prompt) + lm.encode(response)])
        each = -F.cross_entropy(model(ids)[0, start - 1 : -1], ids[0, start:], reduction="none")
        return each.sum() if log_probs == "sum" else each.mean()

    theirs = []
    for _ in range(4):
        losses = []
        for record in RECORDS[:4]:
            ratios = [
                total(policy, record["prompt"], record[x]) - total(reference, record["prompt"], record[x]) for x in ("chosen", "rejected")
            ]
            margin = 0.3 * (ratios[0] - ratios[1])
            losses.append(-0.9 * F.logsigmoid(margin) - 0.1 * F.logsigmoid(-margin))
        loss = torch.stack(losses).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        theirs.append(loss.item())
    assert [row["loss"] for row in run.rows] == pytest.approx(theirs, abs=2e-4)
    assert theirs[3] < theirs[0] - 0.01


def test_sum_and_mean_differ_by_the_length(make_lm: Callable[..., LM]) -> None:
    """Two responses of 15 and 21 tokens: the mean divides each log-ratio by its own length."""
    lm = make_lm("tiny")
    goals = [dpo.build(log_probs=name) for name in ("sum", "mean")]  # type: ignore[arg-type]
    other = ig.create("tiny", seed=5).decoder
    sums = []
    for goal in goals:
        examples = goal.examples(lm, [Record(RECORDS[0], "1")], 64)
        sums.append(goal.loss(other, goal.collate([examples[0]], [0])).sums)
    chosen, rejected = (len(RECORDS[0][name]) for name in ("chosen", "rejected"))
    assert sums[0]["chosen_reward"] == pytest.approx(chosen * sums[1]["chosen_reward"], rel=1e-4)
    assert sums[0]["rejected_reward"] == pytest.approx(rejected * sums[1]["rejected_reward"], rel=1e-4)
    assert abs(sums[0]["chosen_reward"]) > 0.01


def test_it_learns_what_is_preferred_and_leaves_the_reference_alone() -> None:
    lm = ig.create("tiny", seed=1)
    before = {name: weight.clone() for name, weight in lm.model.state_dict().items()}
    run = train(lm, RECORDS, objective="dpo", steps=12, config={**CONFIG, "optimizer": "adamw(lr=0.003)"})
    last = run.rows[-1]
    assert last["accuracy"] == 1.0
    assert last["loss"] < 0.3
    assert last["margin"] == pytest.approx(last["chosen_reward"] - last["rejected_reward"], abs=1e-4)
    assert last["kl"] > 0.1
    assert all(torch.equal(weight, before[name]) for name, weight in lm.model.state_dict().items())


def test_reference_log_probs_are_computed_once_each(make_lm: Callable[..., LM]) -> None:
    examples = dpo.build().examples(make_lm("tiny"), [Record(one, "1") for one in RECORDS], 64)
    first = examples[3]
    assert examples[3].log_probs is first.log_probs
    assert len(examples) == len(RECORDS)


@pytest.mark.parametrize(
    ("objective", "text"),
    [
        ("dpo(beta=0)", r"dpo: beta = 0, expected a number above 0\nhint: 0\.1 is usual"),
        ("dpo(label_smoothing=0.5)", r"dpo: label_smoothing = 0\.5, expected from 0 to below 0\.5, the share of wrong labels"),
        (
            "dpo(log_probs='average')",
            r"dpo: log_probs = 'average': Input should be 'sum' or 'mean'\nhint: isinglass explain objectives\.dpo",
        ),
    ],
)
def test_what_cannot_be(objective: str, text: str) -> None:
    with pytest.raises(VariantError, match=text):
        train(ig.create("tiny"), RECORDS, objective=objective, steps=1, config=CONFIG)


def test_an_encoder_cannot_learn_it() -> None:
    lm = ig.create("bert(n_layers=1, d_model=32, n_heads=2, d_ff=64)")
    with pytest.raises(ConfigError, match=r"dpo: a model that is an encoder cannot learn this\nhint: take a decoder"):
        dpo.build().trainee(lm, 0)
