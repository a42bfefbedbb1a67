"""Next sentence: which pairs are made, transformers' losses of both heads, and training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import isinglass as ig
from isinglass.core.errors import ConfigError, DataError, VariantError
from isinglass.core.runtime import derive_seed
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.nn.loss import IGNORED
from isinglass.training.loop import train
from isinglass.training.objectives import family
from isinglass.training.objectives.next_sentence import DRAWN, FOLLOWS, NextSentence, PairBatch, build
from models.theirs import make, save

# each document has words of its own, so that a pair shows where its texts come from; "amen." ends two of them
DOCUMENTS = [f"the {a} goes out. the {a} finds a {b}! does the {a} eat the {b}? the {a} said \"{b}.\" the {a} sleeps. amen."
             for a, b in (("dog", "bone"), ("cat", "fish"), ("hen", "corn"), ("cow", "leaf"), ("pig", "root"), ("fox", "bird"))]  # fmt: skip
CONFIG = dict(context_length=32, batch_size=8, optimizer="adamw(lr=0.01)", schedule="constant(warmup=0)", validation=0.34)


def fresh(**settings: Any) -> LM:
    values = ", ".join(
        f"{name}={value!r}" for name, value in {"n_layers": 2, "d_model": 32, "n_heads": 4, "context_length": 64, **settings}.items()
    )
    return ig.create(f"bert({values})", tokenizer=ig.train_tokenizer("wordpiece(score='frequency')", DOCUMENTS), seed=3)


def records(texts: list[str]) -> list[Record]:
    return [Record({"text": text}, "t") for text in texts]


def words(lm: LM, ids: list[int]) -> str:
    return lm.tokenizer.decode(ids, skip_special=True)


def test_half_of_the_pairs_follow_and_none_is_true_by_accident() -> None:
    lm, goal = fresh(), build()
    texts = goal.examples(lm, records(DOCUMENTS), 64)
    sentences = list(texts.ids)
    true = {(sentences[n], sentences[n + 1]) for n in texts.firsts}
    assert len(texts) == 30 and len(sentences) == 36
    labels = []
    for number in range(len(texts)):
        for seed in range(40):
            batch = goal.collate([texts[number]], [derive_seed(number, seed)])
            row, segments = batch.ids[0].tolist(), batch.segments[0].tolist()
            at = row.index(3)
            pair = (tuple(row[1:at]), tuple(row[at + 1 : -1]))
            assert row[0] == 2 and row[-1] == 3 and segments == [0] * (at + 1) + [1] * (len(row) - at - 1)
            assert pair[0] == sentences[texts.firsts[number]]
            assert (pair in true) == (batch.targets[0].item() == FOLLOWS)
            labels.append(batch.targets[0].item())
    assert sum(labels) / len(labels) == pytest.approx(0.5, abs=4 * 0.5 / len(labels) ** 0.5)


def test_a_drawn_text_is_of_another_document() -> None:
    lm, goal = fresh(), build()
    texts = goal.examples(lm, records(DOCUMENTS), 64)
    for seed in range(60):
        batch = goal.collate([texts[0]], [seed])
        pair = words(lm, batch.ids[0].tolist())
        stranger = any(animal in pair for animal in ("cat", "hen", "cow", "pig", "fox")) or "amen" in pair
        assert stranger == (batch.targets[0].item() == DRAWN)


def test_where_every_other_text_follows_too_the_pair_stays_true() -> None:
    """Two equal documents: nothing that is drawn could be called false."""
    lm, goal = fresh(), build()
    texts = goal.examples(lm, records(["amen. amen."] * 2), 64)
    assert all(goal.collate([texts[0]], [seed]).targets[0] == FOLLOWS for seed in range(20))


@given(first=st.integers(1, 30), second=st.integers(1, 30), length=st.integers(5, 40))
def test_what_touches_is_kept(first: int, second: int, length: int) -> None:
    from isinglass.training.objectives.next_sentence import _shortened

    one, two = _shortened(range(first), range(second), length)
    assert list(one) == list(range(first))[first - len(one) :] and list(two) == list(range(second))[: len(two)]
    assert len(one) + len(two) == min(first + second, length)
    # the longer one is cut, never below the other
    assert len(one) == first or len(one) >= min(second, length // 2)
    assert len(two) == second or len(two) >= min(first, length // 2)


@pytest.mark.parametrize(
    ("unit", "text", "expected"),
    [
        ("sentence", 'the dog. the "cat." the\nhen! amen', ["the dog.", 'the "cat."', "the hen!", "amen"]),
        ("line", "the dog. the cat\n\nthe hen", ["the dog. the cat", "the hen"]),
        ("paragraph", "the dog\nthe cat\n\n the hen\n", ["the dog the cat", "the hen"]),
    ],
)
def test_units(unit: Any, text: str, expected: list[str]) -> None:
    lm = fresh()
    texts = build(unit).examples(lm, records([text, "amen"]), 64)
    assert texts.ids == [tuple(lm.tokenizer.encode(one)) for one in [*expected, "amen"]]


def test_masks_hide_words_of_both_texts_and_never_special_tokens() -> None:
    lm, goal = fresh(), build(masked=True)
    texts = goal.examples(lm, records(DOCUMENTS), 64)
    batch = goal.collate([texts[n] for n in range(8)], list(range(8)))
    assert isinstance(batch, PairBatch) and batch.hidden is not None
    plain = [goal_row(texts, n, s) for n, s in zip(range(8), range(8), strict=True)]
    for row, hidden, valid, own in zip(batch.ids, batch.hidden, batch.slots.valid, plain, strict=True):
        chosen = hidden != IGNORED
        assert not (chosen & ~valid).any() and not (chosen & ((row == 2) | (row == 3))).any()
        restored = torch.where(chosen, hidden, row)[valid]
        assert restored.tolist() == own
    assert batch.n_targets == int((batch.hidden != IGNORED).sum())


def goal_row(texts: Any, number: int, seed: int) -> list[int]:
    """The row without masks: masks are drawn after the pair."""
    return build().collate([texts[number]], [seed]).ids[0].tolist()


def test_the_sum_of_both_losses_is_that_of_transformers(tmp_path: Path) -> None:
    theirs = make("BertForPreTraining")
    lm = ig.load(save(theirs, tmp_path))
    source = torch.Generator().manual_seed(0)
    ids, hidden = torch.randint(5, 256, (4, 20), generator=source), torch.full((4, 20), IGNORED)
    hidden[:, 3:20:5] = ids[:, 3:20:5]  # as many in each row: their mean over rows is then ours over masks
    segments, labels = (torch.arange(20) > 8).long().expand(4, -1), torch.tensor([0, 1, 1, 0])
    answers = theirs(input_ids=ids, token_type_ids=segments, labels=hidden, next_sentence_label=labels)
    goal = build(masked=True)
    model = goal.trainee(lm, 0).requires_grad_(True)
    from isinglass.nn.attention.slots import Slots

    batch = PairBatch(ids, Slots.first(ids), labels, segments, hidden=hidden)
    loss = goal.loss(model, batch)
    mean = loss.total / batch.n_targets
    assert mean.item() == pytest.approx(answers.loss.item(), abs=1e-5)
    mean.backward()
    answers.loss.backward()
    torch.testing.assert_close(
        model.body.embed_tokens.weight.grad, theirs.bert.embeddings.word_embeddings.weight.grad, atol=1e-6, rtol=1e-4
    )
    figures = goal.figures(loss.total.item(), batch.n_targets, loss.sums)
    right = (answers.seq_relationship_logits.argmax(-1) == labels).float().mean().item()
    assert figures["accuracy"] == right
    assert figures["masked_lm_loss"] + figures["next_sentence_loss"] == pytest.approx(figures["loss"], abs=1e-5)
    expected = torch.nn.functional.cross_entropy(answers.seq_relationship_logits, labels).item()
    assert figures["next_sentence_loss"] == pytest.approx(expected, abs=1e-5)


def test_alone_with_padding_it_is_that_of_transformers(tmp_path: Path) -> None:
    theirs = make("BertForNextSentencePrediction")
    lm = ig.load(save(theirs, tmp_path))
    from isinglass.training.padding import padded

    ids, slots = padded([[5, 6, 7, 8], [9, 10, 11, 12, 13, 14], [15, 16, 17]])
    segments, labels = (torch.arange(6) > 2).long().expand(3, -1), torch.tensor([1, 0, 1])
    with torch.no_grad():
        expected = theirs(input_ids=ids, token_type_ids=segments, attention_mask=slots.valid.long(), labels=labels).loss
    goal = build()
    batch = PairBatch(ids, slots, labels, segments)
    loss = goal.loss(goal.trainee(lm, 0), batch)
    assert loss.total.item() / batch.n_targets == pytest.approx(expected.item(), abs=1e-5)


def test_rows_count_as_much_as_their_masks_however_a_batch_is_divided() -> None:
    lm, goal = fresh(), build(masked=True)
    model = goal.trainee(lm, 0)
    texts = goal.examples(lm, records(DOCUMENTS), 64)
    chosen = [texts[n] for n in (0, 4, 9, 14)]
    whole = goal.collate(chosen, [1, 2, 3, 4])
    parts = [goal.collate(chosen[at : at + 1], [at + 1]) for at in range(4)]
    assert len({part.n_targets for part in parts}) > 1  # of different lengths
    with torch.no_grad():
        together, apart = goal.loss(model, whole).total, sum(goal.loss(model, part).total for part in parts)
    assert whole.n_targets == sum(part.n_targets for part in parts)
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-5)


def test_an_encoder_without_segments_learns_it_too() -> None:
    goal, lm = build(), fresh(n_segments=None)
    texts = goal.examples(lm, records(DOCUMENTS), 64)
    batch = goal.collate([texts[0], texts[1]], [0, 1])
    assert goal.loss(goal.trainee(lm, 0), batch).total.isfinite()


@pytest.mark.parametrize("expression", ["next_sentence", "next_sentence(masked=True)"])
def test_training_and_the_heads_it_leaves(expression: str) -> None:
    steps = 40
    run = train(fresh(), DOCUMENTS, objective=expression, steps=steps, config={**CONFIG, "evaluate_every": steps})
    losses = [row["loss"] for row in run.rows]
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])
    masked = "masked" in expression
    assert run.lm.config.heads == (["masked_lm", "next_sentence"] if masked else ["next_sentence"])
    figures = {"validation_accuracy", "validation_loss"} | (
        {"validation_masked_lm_loss", "validation_next_sentence_loss"} if masked else set()
    )
    assert figures == {name for name in run.evaluations[-1] if name.startswith("validation")}


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        ([DOCUMENTS[0]], DataError,
         r"needs documents of several texts, at least two of them: found 6 texts in 1 documents, 5 of them with a successor\n"
         r"  each record is a document, cut into texts by unit = 'sentence'\nhint: data = \{source = \.\.\., unit = 'paragraph'\}"),
        (["one.", "two."], DataError, r"found 2 texts in 2 documents, 0 of them with a successor"),
    ],
)  # fmt: skip
def test_documents_that_give_no_pairs(data: list[str], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        build().examples(fresh(), records(data), 32)


def test_models_and_settings_that_do_not_fit() -> None:
    with pytest.raises(
        ConfigError, match=r"the tokenizer 'byte\w*' puts nothing between two texts[\s\S]*hint: train one that has \[CLS\] and \[SEP\]"
    ):
        build().examples(ig.create("bert(n_layers=1, d_model=32, n_heads=4)"), records(DOCUMENTS), 32)
    with pytest.raises(ConfigError, match=r"context_length = 4: 3 special tokens leave no room for two texts"):
        build().examples(fresh(), records(DOCUMENTS), 4)
    with pytest.raises(ConfigError, match=r"masked_lm and next_sentence trains an encoder"):
        build(masked=True).trainee(ig.create("tiny"), 0)
    with pytest.raises(VariantError, match=r"next_sentence: unit = 'word': Input should be 'sentence', 'line' or 'paragraph'"):
        family.resolve("next_sentence(unit='word')")
    assert isinstance(family.resolve("next_sentence(unit='line')"), NextSentence)
