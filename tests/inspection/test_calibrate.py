"""Calibration of models: a model whose answers are known by construction, the question set, and a temperature put in and found again."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import isinglass as ig
from helpers.kinds import KINDS
from isinglass.core.errors import DataError, EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.answers import Answer, answer, answer_ids
from isinglass.inspection.calibrate import QuizCalibration, _read, calibrate_quiz, calibrate_text, passages
from isinglass.inspection.quiz import QuizItem, read_quiz
from isinglass.metrics.temperature import fit_temperature


@pytest.fixture(scope="module")
def lm() -> LM:
    return KINDS["llama with grouped heads"]()


def test_text_is_measured_on_other_passages_than_the_temperature_was_fitted_on(lm):
    text = " ".join(f"{number} squared is {number * number}." for number in range(80))
    reported: list[int] = []
    found = calibrate_text(lm, text, n_passages=4, passage_tokens=16, progress=reported.append)
    assert reported == [1] * 4 and found.n_fitted == 2 * 15 and len(found.measured.labels) == 2 * 15
    assert found.measured.ids == passages(lm, text, 4, 16)[0::2]
    p = torch.stack([ig.trace(lm, [ids]).logits[0, :-1].double().softmax(-1) for ids in found.measured.ids]).flatten(0, 1)
    truth = torch.tensor([id for ids in found.measured.ids for id in ids[1:]])
    scored = found.before.calibration
    np.testing.assert_allclose(scored.confidence, p.max(dim=-1).values, rtol=1e-5)
    assert scored.correct.tolist() == (p.argmax(dim=-1) == truth).tolist()
    assert found.before.loss == pytest.approx(float(-p[torch.arange(30), truth].log().mean()))
    assert found.before.brier == pytest.approx(float(((p - torch.nn.functional.one_hot(truth, p.shape[1])) ** 2).sum(-1).mean()))
    assert (found.after.top == found.before.top).all()  # a temperature changes how sure, not what


def test_a_model_that_is_too_sure_is_cooled_by_as_much(lm):
    """Text drawn from a model, measured under the same model with logits three times as large: T = 3 is found, and the error shrinks."""
    sure = ig.create(dict(lm.config), tokenizer=lm.tokenizer)
    sure.model.load_state_dict(lm.model.state_dict())
    with torch.no_grad():
        sure.model.norm.weight.mul_(3)
    drawn = [one.ids for one in ig.generate(lm, ["a"] * 40, strategy="sample", max_tokens=40, ignore_end=True)]

    # as they were drawn: decoding and encoding again would change the tokens
    read = _read(sure, [[97, *ids] for ids in drawn], lambda count: None)
    temperature = fit_temperature(read.logits, read.labels)
    assert temperature == pytest.approx(3, rel=0.1)
    assert read.at(temperature).calibration.ece() < 0.5 * read.at(1.0).calibration.ece()
    assert read.at(temperature).loss < read.at(1.0).loss


def test_passages_are_spread_begin_with_words_and_never_overlap(lm):
    text = " ".join(f"w{number:03d}" for number in range(400))  # a token per byte: 5 characters each
    found = [lm.tokenizer.decode(ids) for ids in passages(lm, text, 5, 20)]
    assert [one[0] for one in found] == ["w"] * 5 and {len(one) for one in found} == {20}
    starts = [text.index(one) for one in found]
    assert starts == sorted(starts) and all(b - a >= 20 for a, b in itertools.pairwise(starts))
    assert starts[-1] > 0.75 * len(text)


def test_an_answer_begins_the_continuation_and_ends_with_a_word():
    item = QuizItem("5 + 3 =", "arithmetic", ("8", "eight"))
    assert item.matched(" 8.") == " 8" and item.matched(" EIGHT\n") == " EIGHT" and item.matched("8") == "8"
    assert item.matched(" 80") is None and item.matched(" eighty") is None and item.matched(" It is 8") is None
    assert QuizItem("The colour", "trick").matched(" blue") is None


def test_answers_of_several_tokens(lm):
    """Products along the tokens, checked one pass per answer."""
    items = [QuizItem("ab", "fact", ("xyz", "q")), QuizItem("abc", "trick")]
    known, trick = answer(lm, items)
    chances = []
    for text in ("xyz", "q"):
        ids = lm.encode(f"ab {text}")
        p = ig.trace(lm, [ids]).logits[0].double().softmax(-1)
        chances.append(math.prod(float(p[place - 1, ids[place]]) for place in range(2, len(ids))))
    assert known.accepted_probability == pytest.approx(max(chances), rel=1e-4)
    greedy = ig.generate(lm, "ab", max_tokens=6, ignore_end=True)
    assert known.correct is False and known.text == greedy.text
    n_tokens = len(lm.encode(" xyz"))
    assert known.confidence == pytest.approx(math.exp(sum(greedy.log_probs[:n_tokens])), rel=1e-4)
    first = ig.trace(lm, "abc").logits[0, -1].double().softmax(-1)
    assert trick.correct is None and trick.accepted_probability is None
    if trick.text[:1].strip():
        assert trick.entropy == pytest.approx(float(-(first * first.log()).sum()), rel=1e-4)
        assert [share for _, share in trick.top] == pytest.approx(first.topk(3).values.tolist(), rel=1e-4)


def test_an_answer_is_cut_as_behind_its_prompt():
    lm = KINDS["gpt2"]()
    text = ig.create("tiny", tokenizer="gpt2")
    assert answer_ids(text, "The capital is", "Paris") == text.tokenizer.encode(" Paris")
    assert answer_ids(lm, "ab", "c") == lm.tokenizer.encode(" c")


def _answers(rows: list[tuple[str, bool | None, float, float]]) -> QuizCalibration:
    made = [
        Answer(QuizItem(f"question {n}", kind, () if right is None else ("a",)), ["q"], " a", right, sure, None, entropy, [(" a", sure)])
        for n, (kind, right, sure, entropy) in enumerate(rows)
    ]
    return QuizCalibration(tuple(made))


def test_doubt_as_a_detector_by_hand():
    found = _answers(
        [
            ("fact", True, 0.9, 0.1),
            ("fact", False, 0.4, 2.0),
            ("fact", True, 0.8, 0.5),
            ("trick", None, 0.3, 0.3),
            ("trick", None, 0.2, 3.0),
        ]
    )
    assert found.detection == {"wrong answers": 1.0, "trick questions": pytest.approx(4 / 6)}
    assert [row["accuracy"] for row in found.kinds.rows] == [pytest.approx(2 / 3), None]
    assert found.known.brier == pytest.approx((0.01 + 0.16 + 0.04) / 3)
    assert "wrong answers 1.00, trick questions 0.67" in found.kinds.notes[-1]
    assert found.parts[0].title == "Reliability of answers: confidence against correctness"
    assert found.data["known"]["answers"] == 3 and found.data["questions"][3]["correct"] is None


def test_questions_without_any_answer_have_no_reliability():
    found = _answers([("trick", None, 0.3, 0.3)])
    assert found.known is None and found.data["known"] is None and len(found.parts) == 3


def test_the_question_set():
    items = read_quiz()
    kinds = [item.kind for item in items]
    assert sum(bool(item.accepted) for item in items) >= 60
    assert kinds.count("ambiguous") >= 12 and kinds.count("trick") >= 12
    assert len({item.prompt for item in items}) == len(items)
    assert all(bool(item.accepted) == (item.kind not in ("ambiguous", "trick")) for item in items)


def test_the_real_model(smollm2):
    items = [item for item in read_quiz() if item.prompt in ("The capital of France is", "7 - 4 =", "The capital of the Moon is")]
    reported: list[int] = []
    found = calibrate_quiz(smollm2, items, progress=reported.append)
    france, minus, moon = found.answers
    assert france.correct and france.confidence == pytest.approx(0.77, abs=0.01) == france.accepted_probability
    assert minus.top[0][0].strip() and minus.entropy > 1  # of the digit, not of the space before it, of which it is sure
    assert moon.correct is None and sum(reported) == 3
    assert france.tokens == ["The", " capital", " of", " France", " is"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no question\nhint: [fact], then lines"),
        ("[fact]\nx = ", "broken TOML:"),
        ('"a" = ["b"]', "a = ['b'] stands outside of a kind\nhint: put it under one"),
        ('[fact]\n"a " = ["b"]', "the question 'a ' in [fact] is empty or ends in a space"),
        ('[fact]\n"a" = "b"', "'a' = 'b', expected a list of answers\nhint: [\"Rome\"], or [] where there is none"),
    ],
)
def test_errors_of_question_files(tmp_path, content, words):
    path = tmp_path / "own.toml"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_quiz(path)
    assert str(path) in str(caught.value) and words in str(caught.value)
    with pytest.raises(DataError, match=r"cannot read '.*none.toml': No such file"):
        read_quiz(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda lm: calibrate_text(lm, "ab", passage_tokens=8),
            "the text of 2 characters gives 0 passages, expected at least two\nhint: give a longer text",
        ),
        (lambda lm: calibrate_text(lm, "abc " * 99, passage_tokens=1), "passage_tokens = 1, expected 2 to the model's context of"),
        (lambda lm: calibrate_text(lm, "abc " * 99, n_passages=1, passage_tokens=8), "n_passages = 1, expected at least 2"),
        (lambda lm: calibrate_text(KINDS["bert"](), "abc"), "created is an encoder, which does not continue a text"),
        (
            lambda lm: answer(KINDS["t5"](), [QuizItem("a", "fact", ("b",))]),
            "created is an encoder-decoder, which does not continue a text",
        ),
        (lambda lm: answer(lm, []), "no questions were given"),
    ],
)
def test_errors(lm, call, words):
    with pytest.raises(EngineError) as caught:
        call(lm)
    assert str(caught.value).startswith(words)
