"""Probes: a property that is there by construction is found, one that is not is not, and the controls tell them apart."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import isinglass as ig
from helpers.kinds import KINDS
from isinglass.core.errors import DataError, EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.probe_tasks import ProbeTask, named_task, plural, repeats, task_from_file
from isinglass.inspection.probes import probe


@pytest.fixture(scope="module")
def lm() -> LM:
    return KINDS["gpt2"]()


def _last_letter(n: int = 80) -> ProbeTask:
    """The class is the last letter's half of the alphabet: there from the embedding on."""
    letters = "abcdefghijklmnopqrst"
    texts = [f"{letters[(n // 20 + 3 * n) % 20]}-{letters[n % 20]}" for n in range(n)]
    return ProbeTask("last letter", texts, ["early" if text[-1] < "k" else "late" for text in texts], [text[:1] for text in texts])


def test_each_layer_is_what_scikit_learn_finds_there(lm):
    task = _last_letter()
    found = probe(lm, task, n_folds=4, seed=3)
    assert [one.tap for one in found.layers] == ["layers.0.resid_pre", "layers.0.resid_post", "layers.1.resid_post"]
    labels = np.array(task.labels)
    folds = StratifiedGroupKFold(4, shuffle=True, random_state=3).split(labels, labels, task.groups)
    folds = list(folds)
    taps = [one.tap for one in found.layers]
    seen = [ig.trace(lm, text, taps=taps) for text in task.texts]
    for one in found.layers:
        x = torch.stack([each[one.tap][0, -1] for each in seen]).numpy()
        scores = []
        for learn, measure in folds:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000)).fit(x[learn], labels[learn])
            scores.append(model.score(x[measure], labels[measure]))
        assert one.accuracy == pytest.approx(np.mean(scores), abs=0.03)  # a batch differs from one text by rounding
        assert one.selectivity == one.accuracy - one.control
    assert found.majority == 0.5 and found.n_examples == 80


def test_what_stands_in_the_last_token_is_there_at_once_and_controls_are_not(lm):
    found = probe(lm, _last_letter())
    assert found.layers[0].accuracy > 0.95  # the letters of the held-out texts were seen in others
    assert found.layers[0].fresh > 0.95  # and needs nothing learned
    assert found.layers[0].control < 0.75
    assert found.best is found.layers[0] or found.best.accuracy > found.layers[0].accuracy


def test_attention_is_needed_for_what_stands_earlier(lm):
    """The first letter decides: the embedding of the last token knows nothing, the mean knows at once."""
    texts = [f"{first}{middle}x" for first in "abcd" for middle in "mnopqrst"]
    task = ProbeTask("first letter", texts, ["ab" if text[0] in "ab" else "cd" for text in texts])
    last, mean = (probe(lm, task, pool=pool, n_folds=4) for pool in ("last", "mean"))
    assert last.layers[0].accuracy <= 0.5  # all alike: the largest class of the rest, of which the fold has fewer
    assert mean.layers[0].accuracy > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model(kind):
    model = KINDS[kind]()
    task = ProbeTask("ends in x", [f"ab{n % 7}{'x' if n % 2 else 'y'}" for n in range(20)], ["x" if n % 2 else "y" for n in range(20)])
    found = probe(model, task, n_folds=2, pool="mean")
    side = "encoder." if kind == "t5" else ""
    assert [one.tap for one in found.layers] == [f"{side}layers.0.resid_pre", f"{side}layers.0.resid_post", f"{side}layers.1.resid_post"]
    assert found.layers[0].accuracy > 0.9


def test_every_token_with_its_control_by_word():
    """Is the token a vowel: it is its own id, and so is a label drawn for each word, which the control learns as well."""
    draw = random.Random(0)
    texts = ["".join(draw.sample("aeioubcdfg", 10)) for _ in range(12)]
    task = ProbeTask("vowels", texts, [["vowel" if char in "aeiou" else "other" for char in text] for text in texts])
    reported: list[int] = []
    llama = KINDS["llama with grouped heads"]()  # its embedding holds no positions
    found = probe(llama, task, pool="token", n_folds=3, progress=reported.append)
    assert found.n_examples == 120 and reported == [1, 1, 1]
    assert found.layers[0].accuracy > 0.95 and found.layers[0].control > 0.9
    assert found.layers[0].selectivity < 0.1


def test_the_tasks_that_come_with_it(lm):
    subjects = plural(lm)
    assert len(subjects.texts) == len(set(zip(subjects.texts, range(999), strict=False))) == 96
    assert subjects.labels.count("plural") == 48 and len(set(subjects.groups)) == 12
    assert subjects.texts[0].startswith("The dog ") and any(text.startswith("The dogs ") for text in subjects.texts)
    ends = [text.split()[-1].endswith("s") == (label == "plural") for text, label in zip(subjects.texts, subjects.labels, strict=True)]
    assert sum(ends) == 48  # the last noun says nothing of the subject
    again = repeats(lm)
    for text, labels in zip(again.texts, again.labels, strict=True):
        ids = lm.encode(text)
        assert [label == "repeated" for label in labels] == [id in ids[:place] for place, id in enumerate(ids)]
    assert named_task("repeats", lm).texts == again.texts


def test_the_figure_and_the_table_hold_the_controls(lm):
    found = probe(lm, _last_letter(), command="isinglass inspect probe gpt2 --task last")
    rows = found.figure.data.rows
    assert {row["series"] for row in rows} == {"model", "shuffled labels", "fresh weights", "largest class"}
    assert found.figure.command == "isinglass inspect probe gpt2 --task last"
    assert found.data["layers"][0]["tap"] == "layers.0.resid_pre" and found.data["layers"][0]["largest class"] == 0.5
    assert found.data["tokens"][0]["token"] == found.texts.strips[0].pieces[0]
    assert "5 folds" in found.figure.to_terminal(100, color=False)


def test_the_seed_decides_all(lm):
    first, again, other = (probe(lm, _last_letter(), seed=seed).table.rows for seed in (1, 1, 2))
    assert first == again != other


def test_a_file_of_texts_with_labels(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("text,label\nfine,good\nawful,bad\n")
    task = task_from_file(path)
    assert (task.name, list(task.texts), list(task.labels)) == ("own.csv", ["fine", "awful"], ["good", "bad"])
    path.write_text("text,label\nfine,\n")
    with pytest.raises(DataError, match=r"own.csv:2: field 'label' is '', expected a label"):
        task_from_file(path)
    path.write_text("text,stars\nfine,3\n")
    with pytest.raises(DataError, match=r"own.csv:2: no field 'label'"):
        task_from_file(path)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda lm: probe(lm, ProbeTask("one", ["a", "b"], ["x", "x"])), "all examples have the class 'x', expected two or more"),
        (lambda lm: probe(lm, ProbeTask("few", ["a", "b", "c"], ["x", "y", "y"]), n_folds=2), "n_folds = 2, with 1 examples of the class 'x' in 3 groups"),
        (lambda lm: probe(lm, _last_letter(), n_folds=1), "n_folds = 1, with 40 examples"),
        (lambda lm: probe(lm, _last_letter(), pool="first"), "unknown pool 'first'\n  known: last, mean, token"),
        (lambda lm: probe(lm, _last_letter(), pool="token"), "text 0 of 'last letter' has the label 'early', expected one for each token"),
        (lambda lm: probe(lm, repeats(lm)), "text 0 of 'does the token repeat an earlier one' has the label ["),
        (lambda lm: probe(lm, ProbeTask("t", ["abc"], [["x", "y"]]), pool="token"), "text 0 of 't' has 2 labels for its 3 tokens"),
        (lambda lm: ProbeTask("t", ["abc"], ["x", "y"]), "the task 't' has 1 texts, 2 labels, expected one label (and group) for each text"),
        (lambda lm: ProbeTask("t", [], []), "the task 't' has no texts"),
        (lambda lm: named_task("plurals", lm), "unknown task 'plurals'\n  known: plural, repeats\nhint: did you mean 'plural'?"),
        (lambda lm: probe(lm, ProbeTask("t", ["a" * 65, "b"] * 5, ["x", "y"] * 5)), "prompt 0 has 65 tokens; the model's context holds 64"),
        (
            lambda lm: probe(lm, ProbeTask("t", list("abcd"), ["x", "x", "y", "y"], ["1", "1", "2", "2"]), n_folds=2),
            "a fold would have one class to learn from\nhint: use fewer folds, or groups that hold several classes",
        ),
    ],
)  # fmt: skip
def test_errors(lm, call, words):
    with pytest.raises(EngineError) as caught:
        call(lm)
    assert str(caught.value).startswith(words)
