"""`isinglass task`: what each prints, as text and as JSON, and one error for what cannot be."""

from __future__ import annotations

import pytest


def test_labels_by_their_names(cli):
    ran = cli("task", "classify", "The goalkeeper saved a penalty.", "--labels", "sports,food", "--json")
    assert ran.code == 0 and ran.json["texts"][0]["label"] == "sports" and ran.json["measure"] == "cosine"


def test_an_answer_stands_in_the_passage(cli, tmp_path):
    (tmp_path / "bridge.txt").write_text("The bridge was built in 1901. It is painted green.", "utf-8")
    ran = cli("task", "answer", "What colour is the bridge?", "--file", tmp_path / "bridge.txt", "--top", "1", "--json")
    assert ran.code == 0 and "green" in ran.json["answers"][0]["text"]


def test_a_summary_and_a_continuation(cli):
    text = "The tram was late. It rained all day. Nobody was at the stop."
    assert cli("task", "summarize", text, "--sentences", "1", "--json").json["summary"] in text
    ran = cli("task", "complete", "The capital of France is", "-n", "2", "--tokens", "3", "--json")
    assert ran.code == 0 and ran.json["continuations"][0]["continuation"].startswith(" Paris")


def test_topics_are_measured_beside_a_baseline(cli):
    ran = cli("task", "evaluate", "topic", "--json")
    (row,) = ran.json
    assert ran.code == 0 and row["value"] > row["baseline_value"] and row["better"] and row["n"] == 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["classify", "a text"], "has no classification head"),
        (["classify"], "no text was given"),
        (["fill-mask", "a [MASK]", "--model", "minilm"], "was not trained to fill gaps"),
        (["translate", "a text", "--model", "smollm2"], "does not read one text and write another"),
        (["answer", "When?"], "no text was given"),
        (["summarize", __file__], "is the path of a file"),
        (["evaluate", "translate"], "needs a model that was trained for it"),
        (["evaluate", "singing"], "unknown task 'singing'"),
        (["evaluate", "sentiment", "--with", "sentiment=nowhere"], "'nowhere' holds no run.toml"),
    ],
)
def test_what_cannot_be_is_told_in_one_error(cli, words, said):
    ran = cli("task", *words)
    assert ran.code != 0 and said in ran.err and ("hint:" in ran.err or "known:" in ran.err) and "Traceback" not in ran.err
