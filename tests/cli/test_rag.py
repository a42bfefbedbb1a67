"""`isinglass rag`: from a folder to answers."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rag") / "notes"
    folder.mkdir()
    (folder / "cat.md").write_text("# Cat\n\nThe cat Mimi was born in Lisbon. She eats fish on Fridays.\n", encoding="utf-8")
    (folder / "boat.txt").write_text("The boat Aurora is nine metres long and painted green.\n", encoding="utf-8")
    (folder / "photo.png").write_bytes(b"\x89PNG")
    return folder


def test_index_ask_and_evaluate(cli, notes, tmp_path):
    place = str(tmp_path / "index")
    made = cli("rag", "index", str(notes), "--out", place, "--json")
    assert made.code == 0 and made.json["documents"] == ["boat.txt", "cat.md"]
    assert (
        made.json["skipped"] == [{"name": "photo.png", "reason": "a .png file, expected .md or .txt"}] and "skipped photo.png" in made.err
    )
    assert "WARN" not in made.err  # of the database
    asked = cli("rag", "ask", place, "Where was the cat born?", "--fits", "0")
    assert "Lisbon" in asked.out and "[1]" in asked.out and "cat.md" in asked.out
    questions = tmp_path / "questions.toml"
    questions.write_text('[[question]]\ntext = "How long is the boat?"\ndocument = "boat.txt"\nanswer = "nine metres"\n')
    found = cli("rag", "evaluate", place, "--questions", str(questions), "--fits", "0", "--json").json
    assert all(row["recall_1"] == 1 for row in found["retrieval"]) and found["answers"][0]["citations"][0]["holds"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["index", "gone", "--out", "x"], 1, "no file or folder 'gone'"),
        (["ask", "gone", "Who?"], 1, "no index at 'gone'"),
        (["compare", "gone"], 2, "no question was given"),
        (["evaluate", "gone", "--questions", "none.toml"], 2, "no file 'none.toml'"),
    ],
)
def test_what_is_refused(cli, arguments, code, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = cli("rag", *arguments)
    assert ran.code == code and told in ran.err and "Traceback" not in ran.err and not list(tmp_path.iterdir())


def test_an_endpoint_without_a_key_and_one_that_is_down(cli, notes, tmp_path, monkeypatch):
    place = str(tmp_path / "index")
    cli("rag", "index", str(notes), "--out", place)
    given = ("rag", "ask", place, "Where was the cat born?", "--by", "m", "--endpoint", "http://127.0.0.1:9/v1", "--fits", "0")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert (ran := cli(*given)).code == 2 and "no key in the variable OPENAI_API_KEY" in ran.err
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    ran = cli(*given)
    assert ran.code == 1 and "cannot be reached" in ran.err and "cat.md" in ran.out and "sk-secret" not in ran.out + ran.err
