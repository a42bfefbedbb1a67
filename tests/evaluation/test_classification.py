"""Classifying, splitting and the report beside its baselines; the sweep on a tiny model."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import isinglass as ig
from isinglass.core.errors import ConfigError, DataError, EngineError
from isinglass.data.records import Record
from isinglass.data.sources import read
from isinglass.evaluation.classification import balanced, classify, evaluate, labels_of, sample, stratified_split
from isinglass.evaluation.classification_results import summary
from isinglass.evaluation.classification_sweep import Plan, missing, reuse_gain, sweep
from isinglass.generation.lm import LM
from isinglass.training.loop import train

HAM = [f"see you at {place} {number}" for number in range(6) for place in ("home", "work", "noon", "ten", "lunch")]
SPAM = [f"WIN {prize} now {number}!" for number in range(4) for prize in ("cash", "a car", "1000 $")]
RECORDS = [
    Record({"text": text, "label": label}, f"sms.tsv:{number + 1}")
    for number, (text, label) in enumerate([(text, "ham") for text in HAM] + [(text, "spam") for text in SPAM])
]
SMS = next((p / "shared/facts/data/sms_spam.tsv" for p in Path(__file__).parents if (p / "shared/facts/data/sms_spam.tsv").is_file()), None)


@pytest.fixture(scope="module")
def trained() -> LM:
    config = dict(batch_size=8, validation=0, optimizer="adamw(lr=0.01)")
    return train(ig.create("tiny(n_layers=2)", seed=1), RECORDS, objective="classification", epochs=4, config=config).lm


def test_probabilities_stand_in_the_order_of_the_texts(trained: LM) -> None:
    texts = ["WIN a long, long, very long prize now!", "home", "see you at work 3", "WIN!"]
    together = classify(trained, texts, batch_size=3)
    assert together.labels == ("ham", "spam")
    np.testing.assert_allclose(together.probabilities.sum(axis=1), 1)
    alone = np.concatenate([classify(trained, [text]).probabilities for text in texts])
    np.testing.assert_allclose(together.probabilities, alone, atol=1e-6)


def test_nothing_to_classify_is_no_error(trained: LM) -> None:
    assert classify(trained, []).probabilities.shape == (0, 2)


def test_a_head_whose_labels_have_no_names() -> None:
    lm = ig.create("bert(n_layers=1, d_model=16, n_heads=2, heads=['classification(n_labels=3)'])")
    assert labels_of(lm) == ("0", "1", "2")


def test_a_model_without_the_head() -> None:
    with pytest.raises(EngineError, match=r"created has no classification head[\s\S]*hint: train one: ig\.train"):
        classify(ig.create("tiny"), ["a"])


def test_an_empty_text(trained: LM) -> None:
    with pytest.raises(DataError, match="text 1: the text '' has no token"):
        classify(trained, ["a", ""])


def test_the_report(trained: LM) -> None:
    sides = stratified_split(RECORDS, seed=1)
    report = evaluate(trained, sides["test"], sides["train"])
    rows = {row["classifier"]: row for row in report.summary.rows}
    assert list(rows) == ["model", "TF-IDF + logistic regression", "majority"]
    truth = [record["label"] for record in sides["test"]]
    predicted = classify(trained, [record.text for record in sides["test"]]).predicted
    assert rows["model"]["accuracy"] == pytest.approx(np.mean([a == b for a, b in zip(truth, predicted, strict=True)]))
    assert rows["majority"]["accuracy"] == max(Counter(truth).values()) / len(truth)
    assert [part.title for part in report.parts()] == [
        "The classifier beside its baselines", "Precision and recall of each class", "Confusion matrix", "Errors",
    ]  # fmt: skip
    assert list(evaluate(trained, sides["test"]).baselines) == []


def test_an_unknown_label_in_the_test_set(trained: LM) -> None:
    with pytest.raises(DataError, match=r"t\.csv:3: the label 'spamm' is none that the model knows\n  known: ham, spam"):
        evaluate(trained, [Record({"text": "a", "label": "spamm"}, "t.csv:3")])


def test_balanced_has_as_many_of_each() -> None:
    drawn = balanced(RECORDS, seed=3)
    assert Counter(record["label"] for record in drawn) == {"ham": 12, "spam": 12}
    assert drawn == balanced(RECORDS, seed=3) != balanced(RECORDS, seed=4)
    assert Counter(record["label"] for record in sample(RECORDS, 5)) == {"ham": 5, "spam": 5}


@given(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.sampled_from(["x", "y"])), min_size=1, max_size=60), st.integers(0, 9))
def test_equal_texts_are_on_one_side_and_nothing_is_lost(pairs: list[tuple[str, str]], seed: int) -> None:
    records = [Record({"text": text, "label": label}, str(number)) for number, (text, label) in enumerate(pairs)]
    sides = stratified_split(records, seed=seed)
    assert sorted(r.place for side in sides.values() for r in side) == sorted(r.place for r in records)
    texts = [{record.text for record in side} for side in sides.values()]
    assert not (texts[0] & texts[1] or texts[0] & texts[2] or texts[1] & texts[2])


@pytest.mark.parametrize("seed", range(3))
def test_every_class_is_divided_in_the_same_shares(seed: int) -> None:
    records = [Record({"text": str(n), "label": "spam" if n % 4 == 0 else "ham"}, "") for n in range(400)]
    sides = stratified_split(records, seed=seed)
    assert {name: Counter(r["label"] for r in side) for name, side in sides.items()} == {
        "train": {"spam": 70, "ham": 210}, "validation": {"spam": 10, "ham": 30}, "test": {"spam": 20, "ham": 60},
    }  # fmt: skip


def test_shares_that_do_not_sum_to_one() -> None:
    with pytest.raises(ConfigError, match="expected parts that sum to 1"):
        stratified_split(RECORDS, {"train": 0.7, "test": 0.7})


def test_the_uci_file_balances_as_in_the_book() -> None:
    if SMS is None:
        pytest.skip("the SMS Spam Collection is not beside this repository (shared/facts/data/sms_spam.tsv)")
    records = list(read(SMS, format="tsv", columns=("label", "text")))
    assert Counter(record["label"] for record in records) == {"ham": 4827, "spam": 747}
    drawn = balanced(records)
    assert len(drawn) == 1494
    sizes = {name: len(side) for name, side in stratified_split(drawn).items()}
    assert sum(sizes.values()) == 1494 and abs(sizes["train"] - 1045) <= 5 and abs(sizes["test"] - 300) <= 5


def test_a_sweep_gives_one_row_for_each_plan() -> None:
    lm = ig.create("tiny(n_layers=3)", seed=1)
    plans = {"head": Plan("head", 1e-2, 2), "last": Plan("last_block", 1e-2, 2), "lora": Plan("all", 1e-2, 1, "lora(rank=2)")}
    measured = list(sweep(lm, RECORDS, plans, [0, 1]))
    assert [(one.plan, one.seed, one.first_block) for one in measured] == [
        ("head", 0, 3), ("head", 1, 3), ("last", 0, 2), ("last", 1, 2), ("lora", 0, None), ("lora", 1, None),
    ]  # fmt: skip
    assert measured[0].n_trained == 2 * 64 + 2
    assert all(one.peak_bytes > 4 * one.n_trained and one.seconds > 0 for one in measured)
    assert measured[2].peak_bytes < measured[4].peak_bytes
    table = summary(measured)
    assert [row["what trains"] for row in table.rows] == ["head", "last", "lora", "TF-IDF", "majority"]
    assert [row["seeds"] for row in table.rows] == [2] * 5 and [row.get("epochs") for row in table.rows] == ["2", "2", "1", None, None]
    assert table.rows[-1]["test"] == pytest.approx(0.7, abs=0.1)  # 30 of 42 are ham
    assert not any("missing" in note for note in table.notes)


def test_what_is_done_is_left_out_and_what_is_missing_is_named() -> None:
    lm, plans = ig.create("tiny(n_layers=3)", seed=1), {"head": Plan("head", 1e-2, 2), "last": Plan("last_block", 1e-2, 1)}
    whole = list(sweep(lm, RECORDS, plans, [0, 1]))
    done = [whole[0].name, whole[3].name]
    assert done == ["head, 2 epochs, seed 0", "last, 1 epochs, seed 1"]
    assert missing(plans, [0, 1], done) == ["head, 2 epochs, seed 1", "last, 1 epochs, seed 0"]
    rest = list(sweep(lm, RECORDS, plans, [0, 1], done))
    assert [one.name for one in rest] == missing(plans, [0, 1], done)
    assert [(one.test_accuracy, one.test_f1) for one in rest] == [(one.test_accuracy, one.test_f1) for one in whole[1:3]]
    assert "missing: head, 2 epochs, seed 1" in summary(whole[:1], ["head, 2 epochs, seed 1"]).notes


def test_a_sweep_gives_what_a_run_by_itself_gives() -> None:
    """Shared states, computed at one depth and carried on to the next, change nothing."""
    lm, plan = ig.create("tiny(n_layers=3)", seed=1), Plan("head", 1e-2, 2)
    shared = list(sweep(lm, RECORDS, {"two": Plan("last_two_blocks", 1e-2, 1), "head": plan}, [5]))[1]
    sides = stratified_split(RECORDS, seed=5)
    run = train(lm, sides["train"], objective="classification", strategy="head", seed=5, config=plan.config())
    report = evaluate(run.lm, sides["test"], sides["train"])
    assert shared.test_accuracy == report.model.accuracy and shared.test_f1 == report.model.average("macro")["f1"]
    assert (shared.tfidf_f1, shared.majority_f1) == tuple(one.average("macro")["f1"] for one in report.baselines.values())


def test_what_reuse_saves() -> None:
    gain = reuse_gain(ig.create("tiny(n_layers=3)", seed=1), RECORDS, Plan("last_block", 1e-2, 1), epochs=2)
    assert gain.largest_difference < 1e-5 and gain.accuracy == gain.accuracy_without


def test_weights_are_not_touched(trained: LM) -> None:
    before = {name: weight.clone() for name, weight in trained.model.state_dict().items()}
    classify(trained, HAM[:3])
    assert all(torch.equal(weight, before[name]) for name, weight in trained.model.state_dict().items())
