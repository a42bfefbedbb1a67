"""Responses before and after training: the faults that are told, and that a model which has learned its answers gives them."""

from __future__ import annotations

from typing import Any

import pytest

import isinglass as ig
from isinglass.core.errors import ConfigError, DataError
from isinglass.data.records import Record
from isinglass.evaluation.responses import Response, Responses, responses
from isinglass.generation.loop import generate
from isinglass.training.loop import train

OBJECTIVE = "instruction(template='chatml', prompt='{q}', response='a')"
# a vocabulary with an end token: bytes and three control tokens
SAMPLE = [{"q": q, "a": a} for q, a in (("one", "uno"), ("two", "dos"), ("six", "seis"), ("ten", "diez"))]
RECORDS = [Record(fields, f"sums.jsonl:{number}") for number, fields in enumerate(SAMPLE, start=1)]


def response(**changes: Any) -> Response:
    values: dict[str, Any] = dict(
        model="m", place="1", prompt="q", reference="a", text="fine", ended=True, repetition=0.0, overlap=0.5, copied=0.1, length_ratio=1.0
    )
    return Response(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({}, []),
        ({"text": " \n"}, ["empty"]),
        ({"repetition": 0.3}, ["repeats itself"]),
        ({"copied": 0.9}, ["copies the prompt"]),
        ({"copied": 0.9, "overlap": 0.95}, []),  # the right answer is near to the question
        ({"ended": False}, ["does not end"]),
        ({"ended": False, "repetition": 1.0}, ["repeats itself", "does not end"]),
    ],
)
def test_faults(changes: dict[str, Any], faults: list[str]) -> None:
    assert response(**changes).faults == faults


def test_tables() -> None:
    found = Responses([response(model="before", ended=False, overlap=0.0, length_ratio=3.0), response(model="after", overlap=1.0)])
    assert found.table.rows == [{"place": "1", "prompt": "q", "reference": "a", "before": "fine [does not end]", "after": "fine"}]
    before, after = found.summary.rows
    assert (before["chrF"], before["ends by itself"], before["length ratio"]) == (0.0, 0.0, 3.0)
    assert (after["chrF"], after["ends by itself"], after["responses"]) == (1.0, 1.0, 1)
    assert [part.title for part in found.parts()] == ["Quality of responses", "Responses"]


def test_a_model_that_has_learned_its_answers_gives_them() -> None:
    tok = ig.train_tokenizer(
        "bpe", [" ".join(f"{f['q']} {f['a']}" for f in SAMPLE)], vocab_size=280, special=["<|im_start|>", "<|im_end|>"]
    )
    lm = ig.create("tiny(context_length=64)", tokenizer=tok)
    config = {"batch_size": 4, "validation": 0, "optimizer": "adamw(lr=0.01, weight_decay=0.0)"}
    run = train(lm, SAMPLE, objective=OBJECTIVE, steps=60, config=config)
    counted: list[int] = []
    found = responses({"before": lm, "after": run.lm}, RECORDS, 3, objective=OBJECTIVE, max_tokens=20, progress=counted.append)
    after = [one for one in found.responses if one.model == "after"]
    assert [(one.place, one.prompt, one.text) for one in after] == [
        ("sums.jsonl:1", "one", "uno"), ("sums.jsonl:2", "two", "dos"), ("sums.jsonl:3", "six", "seis"),
    ]  # fmt: skip
    assert all(one.ended and one.overlap == 1.0 and one.length_ratio == 1.0 and not one.faults for one in after)
    assert sum(counted) == 6
    before, now = found.summary.rows
    assert now["chrF"] > before["chrF"] and now["ends by itself"] == 1.0
    # the prompt is the template's own, up to where the reply begins
    prompt = tok.encode("<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\n", special="parse")
    assert generate(run.lm, prompt, max_tokens=20, stop=("<|im_end|>",)).text == "uno"


def test_questions_are_spread_over_all_records() -> None:
    found = responses({"m": ig.create("tiny(context_length=64)")}, RECORDS, 2, objective=OBJECTIVE, max_tokens=1)
    assert [one.place for one in found.responses] == ["sums.jsonl:1", "sums.jsonl:3"]
    assert found.responses[0].prompt == "one"


def test_the_input_belongs_to_what_was_asked() -> None:
    record = Record({"instruction": "Correct.", "input": "He go.", "output": "He goes."}, "1")
    (one,) = responses({"m": ig.create("tiny")}, [record], max_tokens=1).responses
    assert (one.prompt, one.reference) == ("Correct.\n\nHe go.", "He goes.")


def test_errors() -> None:
    lm = ig.create("tiny")
    with pytest.raises(ConfigError, match="there is no model to respond"):
        responses({}, RECORDS, objective=OBJECTIVE)
    with pytest.raises(ConfigError, match="objective = 'causal_lm' asks no questions"):
        responses({"m": lm}, RECORDS, objective="causal_lm")
    with pytest.raises(DataError, match="there is nothing to respond to: 0 records, of which n = 20 were asked for"):
        responses({"m": lm}, [], objective=OBJECTIVE)
    with pytest.raises(DataError, match=r"x:9: no field 'q'"):
        responses({"m": lm}, [Record({"a": "b"}, "x:9")], objective=OBJECTIVE)
