"""PPO: rollouts that can be had again, the reference policy, resuming bit for bit, and a policy that learns what a function rewards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch

import isinglass as ig
from isinglass.core.errors import CheckpointError, DataError, EngineError, VariantError
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.models.adapted import adapt
from isinglass.models.headed import HeadedModel
from isinglass.models.transformer import Decoder
from isinglass.nn.loss import IGNORED
from isinglass.training.events import StepDone
from isinglass.training.loop import train, training
from isinglass.training.objectives import ppo
from isinglass.training.objectives.ppo import PPO, PromptBatch
from isinglass.training.rollout import Rollout, policy_lm, reference_policy, respond, to_left
from isinglass.training.trainer import Trainer

RECORDS = [{"prompt": f"say {a}{b}: " + "more " * (b == "z")} for a in "abcd" for b in "xyz"]
CONFIG: dict[str, Any] = dict(context_length=48, batch_size=4, accumulation=2, optimizer="adamw(lr=0.003)", evaluate_every=3, save_every=2)


def vowels(prompt: str, response: str) -> float:
    return sum(response.count(letter) for letter in "aeiou") / 4


GOAL = cast(PPO, ppo.build(vowels, max_tokens=6, epochs=2, template="plain"))


def prepared(lm: LM, goal: PPO = GOAL, adapter: str | None = None) -> tuple[HeadedModel, Rollout]:
    """The model, and one rollout over all prompts."""
    model = goal.trainee(lm, 0)
    model = model if adapter is None else adapt(model, adapter)
    prompts = goal.examples(lm, [Record(one, str(n)) for n, one in enumerate(RECORDS)], 48)
    batch = goal.collate(prompts, list(range(len(prompts))))
    (rollout,) = goal.prepared(model, [batch])
    return model, rollout


def test_a_list_of_seeds_makes_each_row_what_it_is_alone(make_lm: Callable[..., LM]) -> None:
    lm = make_lm("tiny")
    prompts, seeds = ["ab", "c", "the end of"], [7, 8, 2**62]
    together = ig.generate(lm, prompts, strategy="sample", max_tokens=12, seed=seeds)
    alone = [ig.generate(lm, one, strategy="sample", max_tokens=12, seed=seed) for one, seed in zip(prompts, seeds, strict=True)]
    assert [one.ids for one in together] == [one.ids for one in alone]
    with pytest.raises(EngineError, match="2 seeds for 3 prompts, expected one for each, or one for all"):
        ig.generate(lm, prompts, strategy="sample", seed=[1, 2])


def test_responses_include_the_end_token() -> None:
    """It is what the policy decided, so it is scored; the text does not show it."""
    tok = ig.train_tokenizer("character", ["ab"], special=("</s>",))
    lm = ig.create("tiny", tokenizer=tok)
    responses = respond(lm, [tok.encode("ab")] * 8, list(range(8)), max_tokens=30)
    ended = [one for one in responses if one.ids[-1] == tok.eos_id]
    assert len(ended) >= 4
    for one in ended:
        assert one.text == tok.decode(one.ids[:-1], skip_special=True)
        assert tok.eos_id not in one.ids[:-1]


def test_a_rollout_is_what_it_says(make_lm: Callable[..., LM]) -> None:
    """Log-probabilities are those of the policy that wrote, tokens of prompts have none, and the reference agrees before the first step."""
    lm = make_lm("tiny")
    model, rollout = prepared(lm)
    own = [len(lm.encode(one["prompt"])) for one in RECORDS]
    for row, prompt in enumerate(own):
        ids = rollout.ids[row, : prompt + 6]
        log_probs = lm.decoder(ids[None]).log_softmax(dim=-1)[0]
        expected = [float(log_probs[at - 1, ids[at]]) for at in range(prompt, prompt + 6)]
        assert rollout.policy[row, prompt - 1 : prompt + 5].tolist() == pytest.approx(expected, abs=1e-4)
        assert bool((rollout.targets[row, : prompt - 1] == IGNORED).all())
        assert bool((rollout.targets[row, prompt + 5 :] == IGNORED).all())
    torch.testing.assert_close(rollout.policy, rollout.reference, atol=1e-5, rtol=0)
    scored = rollout.targets != IGNORED
    assert int(scored.sum()) == rollout.n_targets == 6 * len(RECORDS)
    assert float(rollout.advantages[scored].mean()) == pytest.approx(0, abs=1e-5)
    assert not rollout.advantages[~scored].any()
    texts = [one.text for one in respond(policy_lm(lm, model), [lm.encode(one["prompt"]) for one in RECORDS], list(range(12)), 6)]
    assert rollout.scores.tolist() == [vowels("", text) for text in texts]


def test_advantages_are_whitened_over_the_whole_step(make_lm: Callable[..., LM]) -> None:
    """However a batch is divided into parts."""
    lm = make_lm("tiny")
    model = GOAL.trainee(lm, 0)
    prompts = GOAL.examples(lm, [Record(one, "") for one in RECORDS[:6]], 48)
    whole = GOAL.prepared(model, [GOAL.collate(prompts, list(range(6)))])
    parts = GOAL.prepared(model, [GOAL.collate(prompts[at : at + 2], [at, at + 1]) for at in (0, 2, 4)])
    ours = torch.cat([part.advantages[part.targets != IGNORED] for part in parts])
    torch.testing.assert_close(ours, whole[0].advantages[whole[0].targets != IGNORED], atol=1e-5, rtol=1e-4)


def test_minibatches_hold_every_row_once_per_epoch(make_lm: Callable[..., LM]) -> None:
    _, rollout = prepared(make_lm("tiny"))
    goal = replace(GOAL, epochs=3, minibatches=5)
    updates = goal.updates([rollout])
    assert len(updates) == 15
    for epoch in range(3):
        rows = [row for part in updates[5 * epoch : 5 * epoch + 5] for batch in part for row in cast(Rollout, batch).ids.tolist()]
        assert sorted(rows) == sorted(rollout.ids.tolist())
    assert {len(cast(Rollout, batch).scores) for part in updates for batch in part} == {2, 3}


def test_numbers_move_to_the_left_and_back() -> None:
    targets = torch.tensor([[IGNORED, 5, 6, IGNORED], [7, 8, 9, IGNORED]])
    valid, left, back = to_left(targets)
    numbers = torch.tensor([[0.0, 1.0, 2.0, 0.0], [3.0, 4.0, 5.0, 0.0]])
    assert valid.tolist() == [[True, True, False], [True, True, True]]
    assert left(numbers).tolist() == [[1.0, 2.0, 0.0], [3.0, 4.0, 5.0]]
    assert torch.equal(back(left(numbers)), numbers)


@pytest.mark.parametrize("adapter", [None, "lora(rank=2)"])
def test_the_reference_is_the_policy_before_training(make_lm: Callable[..., LM], adapter: str | None) -> None:
    """The same model with its adapter off, or the one that was given; the policy has moved, the reference has not."""
    lm = make_lm("tiny")
    model = GOAL.trainee(lm, 0)
    if adapter:
        model = adapt(model, adapter)
        model.requires_grad_(False)
    for name, weight in model.named_parameters():
        if adapter is None or "adapter" in name:
            weight.requires_grad_(True)
            weight.data.add_(0.05)
    ids = torch.tensor([lm.encode("some text")])
    policy = cast(Decoder, model.body)
    with reference_policy(model, lm.decoder) as reference, torch.no_grad():
        assert (reference is policy) == (adapter is not None)
        assert torch.equal(reference(ids), lm.decoder(ids))
    assert not torch.allclose(policy(ids), lm.decoder(ids), atol=1e-2)


def test_weights_that_train_beside_an_adapter_are_no_reference(make_lm: Callable[..., LM]) -> None:
    """Switching the adapter off does not bring moved norms back, so the given model is the reference then."""
    lm = make_lm("tiny")
    model = adapt(GOAL.trainee(lm, 0), "lora(rank=2)")
    cast(Decoder, model.body).norm.requires_grad_(True)
    with reference_policy(model, lm.decoder) as reference:
        assert reference is lm.decoder


def test_it_learns_what_is_rewarded_and_the_result_is_a_plain_decoder(tmp_path: Path) -> None:
    def letters(prompt: str, response: str) -> float:
        return float(sum(letter.isascii() and letter.isalpha() for letter in response)) / 6

    lm = ig.create("tiny", seed=1)
    config = {
        **CONFIG,
        "batch_size": 16,
        "accumulation": 1,
        "optimizer": "adamw(lr=0.01)",
        "validation": 0,
        "schedule": "constant(warmup=0)",
    }
    goal = ppo.build(letters, max_tokens=6, kl=0.0, epochs=4)
    run = train(lm, RECORDS, objective=goal, steps=10, config=config, out=tmp_path)
    scores = [row["score"] for row in run.rows]
    assert sum(scores[-3:]) / 3 > sum(scores[:3]) / 3 + 0.2
    assert run.rows[0]["kl"] == pytest.approx(0, abs=1e-5)
    assert run.rows[-1]["kl"] > 0.05
    assert min(row["kl"] for row in run.rows) >= -1e-6  # k3 is never below zero
    assert isinstance(run.lm.model, Decoder)
    assert ig.generate(ig.load(tmp_path), "say ax: ", max_tokens=3).ids == ig.generate(run.lm, "say ax: ", max_tokens=3).ids


def test_the_toll_holds_the_policy_near_its_reference() -> None:
    config = {**CONFIG, "batch_size": 8, "accumulation": 1, "optimizer": "adamw(lr=0.01)", "validation": 0}
    moved = []
    for kl in (0.0, 2.0):
        run = train(ig.create("tiny", seed=1), RECORDS, objective=ppo.build(vowels, max_tokens=6, kl=kl), steps=6, config=config)
        moved.append(run.rows[-1]["kl"])
    assert moved[1] < moved[0] / 2


def run(out: Path | None, **more: Any) -> ig.Run:
    goal = ppo.build(vowels, max_tokens=6, epochs=2, minibatches=2)
    return train(ig.create("tiny(dropout=0.1)", seed=3), RECORDS, objective=goal, steps=4, out=out, seed=5, config=CONFIG, **more)


def same(one: LM, other: LM) -> bool:
    theirs = other.model.state_dict()
    return all(torch.equal(weight, theirs[name]) for name, weight in one.model.state_dict().items())


@pytest.mark.parametrize("adapter", [None, "lora(rank=2)"])
def test_it_resumes_bit_for_bit(tmp_path: Path, adapter: str | None) -> None:
    whole = run(tmp_path / "whole", adapter=adapter)
    goal = ppo.build(vowels, max_tokens=6, epochs=2, minibatches=2)
    events = training(
        ig.create("tiny(dropout=0.1)", seed=3),
        RECORDS,
        objective=goal,
        steps=4,
        out=tmp_path / "cut",
        seed=5,
        config=CONFIG,
        adapter=adapter,
    )
    for event in events:
        if isinstance(event, StepDone) and event.step == 2:
            break
    events.close()
    resumed = run(tmp_path / "cut", resume=True, adapter=adapter)
    assert same(resumed.lm, whole.lm)
    assert [row["score"] for row in resumed.rows] == [row["score"] for row in whole.rows]
    assert [row["loss"] for row in resumed.rows] == [row["loss"] for row in whole.rows]


def test_it_is_not_resumed_with_another_reward(tmp_path: Path) -> None:
    """The name of the file is the same, what it says is not."""
    judging, options = tmp_path / "reward.py", dict[str, Any](steps=2, out=tmp_path / "run", seed=5, config=CONFIG)
    judging.write_text("def reward(prompt, response):\n    return len(response)\n")
    goal = f"ppo(reward={str(judging)!r}, max_tokens=4, epochs=1)"
    train(ig.create("tiny", seed=3), RECORDS, objective=goal, **options)
    judging.write_text("def reward(prompt, response):\n    return -len(response)\n")
    with pytest.raises(CheckpointError, match=r"reward was '.*reward\.py [0-9a-f]{16}', is '.*reward\.py [0-9a-f]{16}'"):
        train(ig.create("tiny", seed=3), RECORDS, objective=goal, resume=True, **options)


def test_interrupted_between_two_changes_of_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are then of no whole step: nothing is written, and the run goes on from the newest checkpoint."""
    whole = run(None)
    plain, calls = Trainer._accumulate, iter(range(1000))

    def interrupted(*given: Any) -> Any:
        if next(calls) == 4 * 2 + 2:  # four changes a step: in the middle of the third one
            raise KeyboardInterrupt
        return plain(*given)

    monkeypatch.setattr(Trainer, "_accumulate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    monkeypatch.undo()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000002"]
    assert same(run(tmp_path, resume=True).lm, whole.lm)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        (dict(max_tokens=0), "ppo: max_tokens = 0, expected at least 1"),
        (dict(epochs=0), "ppo: epochs = 0, expected at least 1"),
        (dict(discount=1.5), r"ppo: discount = 1\.5, expected from 0 to 1"),
        (dict(clip=0.0), r"ppo: clip = 0\.0, expected a number above 0\nhint: 0\.2 is usual"),
        (dict(kl=-0.1), r"ppo: kl = -0\.1, expected 0 or more"),
    ],
)
def test_what_cannot_be(setting: dict[str, Any], text: str) -> None:
    with pytest.raises(VariantError, match=text):
        ppo.build(vowels, **setting)


def test_prompts_that_leave_no_room() -> None:
    lm = ig.create("tiny")
    with pytest.raises(DataError, match=r"p\.jsonl:4: a prompt of 9 tokens and max_tokens = 6, in a context of 14\nhint: fewer max_tokens"):
        GOAL.examples(lm, [Record({"prompt": "123456789"}, "p.jsonl:4")], 14)
    with pytest.raises(DataError, match=r"p\.jsonl:5: a prompt of 0 tokens [\s\S]*hint: leave empty prompts out"):
        GOAL.examples(lm, [Record({"prompt": ""}, "p.jsonl:5")], 14)


def test_prompts_are_not_learned_from() -> None:
    lm = ig.create("tiny")
    batch = GOAL.collate(GOAL.examples(lm, [Record(RECORDS[0], "1")], 48), [1])
    assert isinstance(batch, PromptBatch)
    assert batch.n_targets == 0
