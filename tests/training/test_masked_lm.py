"""Masked language modelling: the 80/10/10 rule, windows, transformers' loss, and training that resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import isinglass as ig
from isinglass.core.errors import ConfigError, VariantError
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.models.encoder import Encoder
from isinglass.models.headed import HeadedModel
from isinglass.nn.loss import IGNORED
from isinglass.text.tokenizer import Tokenizer
from isinglass.training.events import StepDone
from isinglass.training.loop import train, training
from isinglass.training.objective import Batch
from isinglass.training.objectives.masked_lm import Maskable, MaskedLM, build, stream
from models.theirs import make, save

TEXTS = [f"the {animal} sees a {colour} house by the {place}" for animal in ("dog", "cat", "hen", "fox") for colour in ("red", "blue", "green")
         for place in ("sea", "lake", "hill")]  # fmt: skip
CONFIG = dict(context_length=16, batch_size=4, optimizer="adamw(lr=0.01)", schedule="constant(warmup=0)")
MASK, SEP, CLS = 4, 3, 2
ORDINARY = np.arange(10, 300)


def tokenizer() -> Tokenizer:
    return ig.train_tokenizer("wordpiece(score='frequency')", TEXTS)


def fresh(**settings: Any) -> LM:
    values = ", ".join(
        f"{name}={value!r}" for name, value in {"n_layers": 2, "d_model": 32, "n_heads": 4, "context_length": 64, **settings}.items()
    )
    return ig.create(f"bert({values})", tokenizer=tokenizer(), seed=3)


def records() -> list[Record]:
    return [Record({"text": text}, "t") for text in TEXTS]


def resolved(expression: str) -> MaskedLM:
    from isinglass.training.objectives import family

    return family.resolve(expression)


@given(
    n=st.integers(1, 60), n_special=st.integers(0, 5), seed=st.integers(0, 2**63 - 1),
    share=st.floats(0.01, 0.99), mask=st.floats(0, 0.6), random=st.floats(0, 0.4),
)  # fmt: skip
def test_what_is_hidden(n: int, n_special: int, seed: int, share: float, mask: float, random: float) -> None:
    """An exact number of ordinary tokens; their targets are what stood there; nothing else changes; the seed decides."""
    ids = np.concatenate([np.full(n_special, SEP), np.random.RandomState(n).choice(ORDINARY, n)])
    goal, vocabulary = MaskedLM(share, mask, random), Maskable(MASK, ORDINARY)
    hidden, targets = goal.hide(ids, vocabulary, stream(seed))
    chosen = targets != IGNORED
    assert chosen.sum() == max(1, round(share * n))
    assert (targets[chosen] == ids[chosen]).all() and not chosen[:n_special].any()
    assert (hidden[~chosen] == ids[~chosen]).all()
    assert np.isin(hidden[chosen], [MASK, *ORDINARY]).all()
    again = goal.hide(ids, vocabulary, stream(seed))
    assert (again[0] == hidden).all() and (again[1] == targets).all()


def test_of_the_hidden_80_are_masked_10_random_10_kept() -> None:
    n, ids = 200_000, np.random.RandomState(0).choice(ORDINARY, 200_000)
    hidden, targets = build().hide(ids, Maskable(MASK, ORDINARY), stream(7))  # type: ignore[attr-defined]
    chosen = targets != IGNORED
    assert chosen.sum() == 30_000
    masked, kept = (hidden[chosen] == MASK).mean(), (hidden[chosen] == ids[chosen]).mean()
    spread = 4 * (0.8 * 0.2 / 30_000) ** 0.5  # four standard deviations
    assert masked == pytest.approx(0.8, abs=spread)
    assert kept == pytest.approx(0.1 + 0.1 / len(ORDINARY), abs=spread)  # a random token may be the same one
    stand_ins = hidden[chosen & (hidden != MASK) & (hidden != ids)]
    assert np.bincount(stand_ins, minlength=300)[ORDINARY].min() > 0  # each ordinary token may come
    # the places are drawn evenly: as many in the first half as in the second
    assert chosen[: n // 2].sum() == pytest.approx(15_000, abs=4 * (30_000 * 0.25) ** 0.5)


@pytest.mark.parametrize(("rule", "expected"), [((1.0, 0.0), {MASK}), ((0.0, 0.0), {20}), ((0.0, 1.0), {30})])
def test_each_fate_alone(rule: tuple[float, float], expected: set[int]) -> None:
    ids = np.full(40, 20)
    hidden, targets = MaskedLM(0.5, *rule).hide(ids, Maskable(MASK, np.array([20, 30])), stream(1))
    found = set(hidden[targets != IGNORED].tolist())
    assert found == expected or (expected == {30} and found == {20, 30})


def test_windows_hold_all_text_between_cls_and_sep() -> None:
    lm = fresh()
    tok = lm.tokenizer
    examples = build().examples(lm, records(), 16)
    text = [id for text in TEXTS for id in [*tok.encode(text), SEP]]
    rows = [examples[number].ids.tolist() for number in range(len(examples))]
    assert all(len(row) == 16 and row[0] == CLS and row[-1] == SEP and row[1:-1].count(CLS) == 0 for row in rows)
    assert len(rows) == -(-len(text) // 14)
    joined = [id for row in rows[:-1] for id in row[1:-1]]
    assert joined == text[: len(joined)] and rows[-1][1:-1] == text[-14:]
    assert {0, 1, CLS, SEP, MASK}.isdisjoint(examples[0].vocabulary.ordinary) and len(examples[0].vocabulary.ordinary) == tok.vocab_size - 5


def test_the_seed_alone_decides_a_row() -> None:
    goal, lm = build(), fresh()
    examples = goal.examples(lm, records(), 16)
    alone, together = goal.collate([examples[1]], [9]), goal.collate([examples[0], examples[1]], [8, 9])
    assert torch.equal(alone.ids[0], together.ids[1]) and torch.equal(alone.targets[0], together.targets[1])
    other = goal.collate([examples[1]], [10])
    assert not torch.equal(alone.targets, other.targets)


@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertForPreTraining"])
def test_the_loss_is_that_of_transformers(kind: str, tmp_path: Path) -> None:
    theirs = make(kind)
    lm = ig.load(save(theirs, tmp_path))
    ids = torch.randint(5, 256, (3, 20), generator=torch.Generator().manual_seed(0))
    targets = torch.where(torch.rand(3, 20, generator=torch.Generator().manual_seed(1)) < 0.3, ids, IGNORED)
    labels = {"next_sentence_label": torch.tensor([0, 1, 0])} if kind == "BertForPreTraining" else {}
    answers = theirs(input_ids=ids, labels=targets, **labels)
    # their sum of two losses, without the second
    extra = torch.nn.functional.cross_entropy(answers.seq_relationship_logits, labels["next_sentence_label"]) if labels else 0
    goal = build()
    model = goal.trainee(lm, 0).requires_grad_(True)
    batch = Batch(ids, goal_slots(ids), targets)
    loss = goal.loss(model, batch).total / batch.n_targets
    assert loss.item() == pytest.approx((answers.loss - extra).item(), abs=1e-5)
    loss.backward()
    (answers.loss - extra).backward()
    # the embedding is also the output: both gradients must have come
    expected = theirs.bert.embeddings.word_embeddings.weight.grad
    torch.testing.assert_close(model.body.embed_tokens.weight.grad, expected, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(model.heads["masked_lm"].bias.grad, theirs.cls.predictions.bias.grad, atol=1e-6, rtol=1e-4)


def goal_slots(ids: torch.Tensor) -> Any:
    from isinglass.nn.attention.slots import Slots

    return Slots.first(ids)


def test_a_head_is_added_where_there_is_none() -> None:
    lm = fresh()
    assert isinstance(lm.model, Encoder)
    model = build().trainee(lm, 5)
    assert isinstance(model, HeadedModel) and model.config.heads == ["masked_lm"] and lm.config.heads == []
    assert torch.equal(model.body.embed_tokens.weight, lm.model.embed_tokens.weight)
    assert model.body.embed_tokens.weight is not lm.model.embed_tokens.weight
    head = model.heads["masked_lm"]
    assert float(head.norm.weight.detach().sum()) == 32 and float(head.dense.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    same, other = build().trainee(lm, 5), build().trainee(lm, 6)
    assert torch.equal(same.heads["masked_lm"].dense.weight, head.dense.weight)
    assert not torch.equal(other.heads["masked_lm"].dense.weight, head.dense.weight)


def test_heads_that_are_there_stay() -> None:
    lm = fresh(heads=["pooling(kind='mean')", "masked_lm(activation='relu')"])
    model = build().trainee(lm, 5)
    assert model.config == lm.config
    assert torch.equal(model.heads["masked_lm"].dense.weight, lm.model.heads["masked_lm"].dense.weight)
    assert build().trainee(fresh(heads=["pooler"]), 5).config.heads == ["pooler", "masked_lm"]


@pytest.mark.parametrize(
    ("make_lm", "error", "text"),
    [
        (lambda: ig.create("bert(n_layers=1, d_model=32, n_heads=4)"), ConfigError,
         r"the tokenizer 'byte\w*' has no mask token\n  looked for \[MASK\] and <mask>; its special tokens are: none\nhint: train one that has"),
        (lambda: ig.create("tiny", tokenizer=tokenizer()), ConfigError,
         r"masked_lm trains an encoder, which sees both sides of a gap; this model is of the kind decoder\nhint: model = \"bert"),
    ],
)  # fmt: skip
def test_models_that_cannot_learn_it(make_lm: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        train(make_lm(), TEXTS, objective="masked_lm", steps=1, config=CONFIG)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("masked_lm(share=0.0)", r"share = 0\.0, expected more than 0 and less than 1"),
        ("masked_lm(share=1.5)", r"share = 1\.5, expected more than 0"),
        ("masked_lm(mask=0.9, random=0.2)", r"mask = 0\.9 and random = 0\.2, expected shares that are together at most 1"),
    ],
)
def test_shares_are_checked(expression: str, text: str) -> None:
    with pytest.raises(VariantError, match=text):
        resolved(expression)


def test_a_window_needs_room() -> None:
    with pytest.raises(ConfigError, match=r"context_length = 3: beside the special tokens there is room for 1\nhint: set context_length"):
        build().examples(fresh(), records(), 3)


def test_the_loss_falls_and_the_model_can_be_loaded(tmp_path: Path) -> None:
    run = train(fresh(), TEXTS, objective="masked_lm", steps=60, out=tmp_path, config={**CONFIG, "evaluate_every": 30})
    first, last = run.evaluations
    assert last["validation_loss"] < first["validation_loss"] < np.log(run.lm.tokenizer.vocab_size) + 0.5
    assert run.rows[-1]["perplexity"] == pytest.approx(np.exp(run.rows[-1]["loss"]))
    again = ig.load(tmp_path)
    assert again.config.heads == ["masked_lm"]
    ids = torch.tensor([again.tokenizer.encode("the dog", add_special=True)])
    torch.testing.assert_close(again.model(ids)["masked_lm"], run.lm.model(ids)["masked_lm"])


def test_every_epoch_has_new_masks_and_the_validation_set_always_the_same() -> None:
    seen: dict[bytes, set[bytes]] = {}
    goal = build()

    class Watching(MaskedLM):
        def collate(self, examples: Any, seeds: Any) -> Batch:
            batch = super().collate(examples, seeds)
            for example, targets in zip(examples, batch.targets, strict=True):
                seen.setdefault(example.ids.tobytes(), set()).add(targets.numpy().tobytes())
            return batch

    assert isinstance(goal, MaskedLM)
    watching = Watching(goal.share, goal.mask, goal.random)
    config = {**CONFIG, "evaluate_every": 2, "batch_size": 16}
    events = list(training(fresh(), TEXTS, objective=watching, epochs=3, config=config))
    assert sum(isinstance(event, StepDone) for event in events) >= 3
    counts = sorted(len(masks) for masks in seen.values())
    assert counts[0] == 1 and counts[-1] >= 3


def test_resumed_bit_for_bit(tmp_path: Path) -> None:
    options = dict(objective="masked_lm", steps=8, seed=5, config={**CONFIG, "accumulation": 2, "save_every": 3})
    whole = train(fresh(dropout=0.1), TEXTS, out=tmp_path / "whole", **options)
    events = training(fresh(dropout=0.1), TEXTS, out=tmp_path / "part", **options)
    next(event for event in events if isinstance(event, StepDone) and event.step == 4)
    events.close()  # type: ignore[attr-defined]
    resumed = train(fresh(dropout=0.1), TEXTS, out=tmp_path / "part", resume=True, **options)
    ours, theirs = resumed.lm.model.state_dict(), whole.lm.model.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [row["loss"] for row in resumed.rows] == [row["loss"] for row in whole.rows]
