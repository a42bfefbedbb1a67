"""Classification: padding changes nothing, weights count as in torch, labels stay with the model, bad data is named."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import isinglass as ig
from isinglass.core.errors import ConfigError, DataError, VariantError
from isinglass.core.runtime import derive_seed
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.models.headed import HeadedModel
from isinglass.models.heads.classification import Classification as Head
from isinglass.nn.attention.slots import Slots
from isinglass.training import objectives
from isinglass.training.loop import train
from isinglass.training.objectives.classification import HEAD, Classification, LabelBatch, Labelled, ids_of
from isinglass.training.padding import padded

TEXTS = ["see you at home", "WIN a prize now", "call me", "free prize, call now!", "ok", "are you at home?"]
LABELS = ["ham", "spam", "ham", "spam", "ham", "ham"]
RECORDS = [
    Record({"text": text, "label": label}, f"sms.csv:{number + 2}") for number, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True))
]
MODELS = {
    "llama-like": "tiny(n_layers=2)",
    "gpt2": "gpt2(n_layers=2, d_model=32, n_heads=4, dropout=0.0)",
    "bert": "bert(n_layers=2, d_model=32, n_heads=4, dropout=0.0)",
}


def goal(arguments: str = "", records: list[Record] = RECORDS) -> Classification:
    made = objectives.family.resolve(f"classification({arguments})").fitted(records)
    assert isinstance(made, Classification)
    return made


def trainee(lm: LM, objective: Classification) -> HeadedModel:
    return objective.trainee(lm, 7).eval()


def head_of(model: object) -> Head:
    """The classification head of a model."""
    assert isinstance(model, HeadedModel)
    head = model.heads[HEAD]
    assert isinstance(head, Head)
    return head


@pytest.fixture(scope="module")
def tiny() -> LM:
    return ig.create("tiny(n_layers=2)", seed=1)


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "first", "pooler"])
@pytest.mark.parametrize("name", MODELS)
def test_padding_changes_nothing(name: str, pooling: str) -> None:
    """Each text alone, beside longer ones, and with any width of padding: the same scores (the book's classifier reads the padding)."""
    lm = ig.create(MODELS[name], seed=1)
    objective = goal(f"pooling={pooling!r}")
    model = trainee(lm, objective)
    examples = objective.examples(lm, RECORDS, 64)
    with torch.no_grad():
        batch = objective.collate(examples, [0] * len(examples))
        together = model(batch.ids, slots=batch.slots)[HEAD]
        for number, example in enumerate(examples):
            alone = objective.collate([example], [0])
            expected = model(alone.ids, slots=alone.slots)[HEAD][0]
            torch.testing.assert_close(together[number], expected, atol=1e-6, rtol=0)
            for more in (1, 17):
                wide = F.pad(alone.ids, (0, more), value=5)
                places = torch.arange(wide.shape[1])[None]
                scores = model(wide, slots=Slots(places, places < alone.ids.shape[1]))[HEAD][0]
                torch.testing.assert_close(scores, expected, atol=1e-6, rtol=0)


def test_the_vector_is_that_of_the_last_real_token(tiny: LM) -> None:
    objective = goal()
    model = trainee(tiny, objective)
    batch = objective.collate(objective.examples(tiny, RECORDS, 64), [0] * len(RECORDS))
    with torch.no_grad():
        hidden = tiny.decoder.hidden(batch.ids, slots=batch.slots)
        ends = [len(tiny.encode(text)) - 1 for text in TEXTS]
        vectors = torch.stack([row[end] for row, end in zip(hidden, ends, strict=True)])
        expected = head_of(model).out_proj(vectors)
        torch.testing.assert_close(model(batch.ids, slots=batch.slots)[HEAD], expected)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.1, 5.0), min_size=3, max_size=3), st.lists(st.integers(0, 2), min_size=1, max_size=9), st.integers(0, 100))
def test_weighted_loss_is_torchs(weights: list[float], targets: list[int], seed: int) -> None:
    logits = torch.from_numpy(np.random.RandomState(seed).randn(len(targets), 3))
    labels = torch.tensor(targets)
    objective = Classification(("a", "b", "c"), "text", "label", "last", dict(zip("abc", weights, strict=True)), None)
    batch = objective.collate([Labelled([1], target) for target in targets], [0] * len(targets))
    assert isinstance(batch, LabelBatch)
    loss = objective.loss(lambda ids, slots: {HEAD: logits}, batch)  # type: ignore[arg-type]
    expected = F.cross_entropy(logits.float(), labels, weight=torch.tensor(weights))
    torch.testing.assert_close(loss.total / batch.n_targets, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_a_weighted_step_is_torchs_however_the_batch_is_divided(tiny: LM, parts: int) -> None:
    """The sum of weights is the denominator of the whole batch, not of each part."""
    asked = dict(batch_size=4, accumulation=parts, validation=0, schedule="constant(warmup=0)", optimizer="adamw(lr=0.01)")
    run = train(tiny, RECORDS[:4], objective="classification(class_weights={'spam': 3.0})", steps=1, seed=2, config=asked)
    objective = goal("class_weights={'spam': 3.0}", RECORDS[:4])
    model = objective.trainee(tiny, derive_seed(2, "heads")).eval()
    batch = objective.collate(objective.examples(tiny, RECORDS[:4], 64), [0] * 4)
    logits = model(batch.ids, slots=batch.slots)[HEAD]
    assert run.rows[0]["loss"] == pytest.approx(F.cross_entropy(logits, batch.targets, weight=torch.tensor([1.0, 3.0])).item(), abs=1e-5)
    assert run.rows[0]["accuracy"] == pytest.approx((logits.argmax(-1) == batch.targets).float().mean().item())


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    expected = compute_class_weight("balanced", classes=np.array(["ham", "spam"]), y=np.array(LABELS))
    assert goal("class_weights='balanced'").class_weights == pytest.approx(dict(zip(["ham", "spam"], expected, strict=True)))


def test_a_text_of_two_tokens_is_learned_and_the_labels_are_saved(tmp_path: Path) -> None:
    lm = ig.create("tiny(n_layers=2)", seed=1)
    records = [
        {"text": word * (1 + number % 3), "label": label} for number in range(12) for word, label in (("a", "vowel"), ("b", "consonant"))
    ]
    config = dict(batch_size=8, validation=0, optimizer="adamw(lr=0.01)")
    run = train(lm, records, objective="classification", epochs=8, out=tmp_path / "run", config=config)
    assert run.rows[-1]["accuracy"] == 1.0
    loaded = ig.load(tmp_path / "run")
    assert head_of(loaded.model).labels == ("consonant", "vowel")
    batch, slots = padded([loaded.encode("aaa"), loaded.encode("b")])
    assert loaded.model(batch, slots=slots)[HEAD].argmax(-1).tolist() == [1, 0]


def test_the_head_is_fresh_and_seeded_and_a_trained_one_is_kept(tiny: LM) -> None:
    objective = goal()
    one, same, other = (head_of(objective.trainee(tiny, seed)).out_proj.weight for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert 0.01 < one.std() < 0.03
    run = train(tiny, RECORDS, objective="classification", strategy="head", steps=2, config=dict(batch_size=2, validation=0))
    again = objective.trainee(run.lm, 9)
    assert torch.equal(head_of(again).out_proj.weight, head_of(run.lm.model).out_proj.weight)


@pytest.mark.parametrize(("strategy", "adapter"), [("norm_and_bias", None), ("all", "lora(rank=2)"), ("all", "prefix(length=2)")])
def test_every_way_to_train_changes_only_its_weights(tiny: LM, strategy: str, adapter: str | None) -> None:
    run = train(
        tiny, RECORDS, objective="classification", strategy=strategy, adapter=adapter, steps=3, config=dict(batch_size=2, validation=0)
    )
    assert isinstance(run.lm.model, HeadedModel)
    after, before = dict(run.lm.model.body.named_parameters()), dict(tiny.decoder.named_parameters())
    changed = {name for name in before if name in after and not torch.equal(after[name], before[name])}
    if strategy == "norm_and_bias":
        assert changed and all("norm" in name for name in changed)
    else:
        assert "embed_tokens.weight" not in changed and not any("norm" in name for name in changed)


@pytest.mark.parametrize("name", MODELS)
def test_long_texts_are_cut_and_keep_what_ends_them(name: str) -> None:
    lm = ig.create(MODELS[name], seed=1)
    ids = ids_of(lm, "a long text " * 20, 9, "here")
    whole = lm.encode("a long text " * 20)
    assert len(ids) == 9
    after = list(lm.tokenizer.surround.slots(two=False))
    n_after = len(after) - after.index("A") - 1
    assert ids == whole[: 9 - n_after] + whole[len(whole) - n_after :]


def written(path: Path, rows: list[list[Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *rows])
    return path


def test_one_class_is_refused_with_its_place(tiny: LM, tmp_path: Path) -> None:
    source = written(tmp_path / "one.csv", [[text, "ham"] for text in TEXTS])
    with pytest.raises(DataError) as caught:
        train(tiny, source, objective="classification", steps=1)
    assert "records have the same 'label': 'ham'; expected at least two classes" in str(caught.value)
    assert "one.csv:" in str(caught.value) and "isinglass data show" in caught.value.hint


def test_an_unknown_label_in_the_validation_set_is_named_with_its_line(tiny: LM, tmp_path: Path) -> None:
    source = written(tmp_path / "train.csv", [[t, label] for t, label in zip(TEXTS, LABELS, strict=True)])
    apart = written(tmp_path / "apart.csv", [["hello", "ham"], ["hi", "spamm"]])
    with pytest.raises(DataError) as caught:
        train(tiny, source, objective="classification", steps=1, config={"validation": str(apart)})
    text = str(caught.value)
    assert "unknown label 'spamm'" in text and "apart.csv:3" in text and "did you mean 'spam'?" in text


def test_a_missing_field_is_named_with_its_line(tiny: LM, tmp_path: Path) -> None:
    source = tmp_path / "sms.jsonl"
    source.write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n{"text": "c"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"sms\.jsonl:3: no field 'label'\n  it has: text"):
        train(tiny, source, objective="classification", steps=1, config={"validation": 0})


@pytest.mark.parametrize("value", [None, True, ["ham"], {"name": "ham"}])
def test_a_label_that_is_neither_text_nor_number(value: object) -> None:
    record = Record({"text": "a", "label": value}, "sms.jsonl:4")
    with pytest.raises(DataError, match=r"sms\.jsonl:4: field 'label' is .*, expected a label: text or a number"):
        goal("", [*RECORDS, record])


def test_numbers_are_labels(tiny: LM) -> None:
    records = [Record({"text": text, "label": number % 2}, "") for number, text in enumerate(TEXTS)]
    assert goal("", records).labels == ("0", "1")


def test_an_empty_text_is_named(tiny: LM) -> None:
    with pytest.raises(DataError, match=r"sms\.csv:9: the text '' has no token"):
        goal().examples(tiny, [Record({"text": "", "label": "ham"}, "sms.csv:9")], 64)


def test_a_model_that_cannot_learn_it() -> None:
    with pytest.raises(ConfigError, match="an encoder-decoder has no hidden states of one text"):
        goal().trainee(ig.create("t5(n_layers=1, d_model=16, n_heads=2, d_ff=32)"), 0)


def test_labels_that_nobody_gave(tiny: LM) -> None:
    with pytest.raises(ConfigError, match=r"the labels are not known\nhint: give labels"):
        objectives.family.resolve("classification").trainee(tiny, 0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("pooling='lst'", "unknown pooling 'lst'"),
        ("class_weights='even'", "class_weights = 'even', expected 'balanced' or numbers"),
        ("class_weights={'spam': 0.0}", "class_weights['spam'] = 0.0, expected a number above 0"),
        ("labels=['ham']", "expected at least two different ones"),
        ("labels=['ham', 'ham']", "expected at least two different ones"),
        ("max_length=0", "max_length = 0, expected at least 1 token"),
    ],
)
def test_settings_that_make_no_sense(arguments: str, told: str) -> None:
    with pytest.raises(VariantError) as caught:
        objectives.family.resolve(f"classification({arguments})")
    assert told in str(caught.value)


def test_a_weight_for_an_unknown_label() -> None:
    with pytest.raises(ConfigError, match=r"unknown label 'spamm' in class_weights[\s\S]*did you mean 'spam'"):
        goal("class_weights={'spamm': 2.0}")


def test_more_length_than_the_model_has(tiny: LM) -> None:
    with pytest.raises(ConfigError, match=r"max_length = 100,000: the model's context_length is"):
        goal("max_length=100000").examples(tiny, RECORDS, 64)
