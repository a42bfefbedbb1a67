"""`isinglass data show` and `isinglass data prepare`."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from helpers.command import command
from isinglass.cli import data, data_prepare, data_show
from isinglass.cli.main import build_app

TEXTS = ["In the beginning God created the heaven.", "In the beginning God created the heaven.", "Write to ann@example.org, please."]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": text, "n": n}) + "\n" for n, text in enumerate(TEXTS)), encoding="utf-8")
    return path


@pytest.mark.parametrize("example", [*data.EXAMPLES, *data_show.EXAMPLES, *data_prepare.EXAMPLES])
def test_examples_are_understood(example):
    function, _, _ = build_app().parse_args(shlex.split(example)[1:], exit_on_error=False, print_error=False)
    assert function.__module__.startswith("isinglass.cli.data_")


def test_show(cli, corpus, tmp_path):
    ran = cli("data", "show", corpus, "--first", 2, "--tokenizer", "gpt2", "--save", tmp_path / "page.html")
    assert ran.code == 0, ran.err
    assert "3 records in" in ran.out and "fields text, n" in ran.out and "How long the texts are, in text, words" in ran.out
    assert "ann@example.org" not in ran.out  # the third record
    assert "How long the texts are" in (tmp_path / "page.html").read_text("utf-8")
    found = cli("data", "show", corpus, "--first", 1, "--tokenizer", "gpt2", "--json").json
    assert found["records"] == 3 and found["fields"] == {"text": 3, "n": 3}
    assert found["first"] == [{"place": f"{corpus}:1", "text": TEXTS[0], "n": 0}]
    words, characters, tokens = found["lengths"]
    assert (words["in"], words["shortest"], words["longest"], words["in all"]) == ("text, words", 4, 7, 18)
    assert characters["in all"] == sum(map(len, TEXTS)) and tokens["in all"] > 18


def test_show_takes_the_sms_format(cli, tmp_path):
    path = tmp_path / "SMSSpamCollection"
    path.write_text('ham\tsay "hi\nspam\tWIN\n', encoding="utf-8")
    found = cli("data", "show", path, "--format", "tsv", "--columns", "label,text", "--json").json
    assert [row["label"] for row in found["first"]] == ["ham", "spam"]


def test_prepare_writes_a_folder_and_shows_the_card(cli, corpus, tmp_path):
    out = tmp_path / "prepared"
    ran = cli("data", "prepare", corpus, "--steps", "clean, exact_duplicates, personal_data", "--out", out)
    assert ran.code == 0, ran.err
    assert "Dropped, by reason" in ran.out and "2 of 3 records kept in" in ran.err
    assert sorted(path.name for path in out.iterdir()) == ["card.md", "dropped.jsonl", "part-00000.jsonl"]
    kept = [json.loads(line) for line in (out / "part-00000.jsonl").read_text().splitlines()]
    assert [(row["place"], row["text"]) for row in kept] == [(f"{corpus}:1", TEXTS[0]), (f"{corpus}:3", "Write to [EMAIL], please.")]
    assert cli("data", "show", out, "--json").json["records"] == 2
    refused = cli("data", "prepare", corpus, "--out", out)
    assert refused.code == 1 and "--overwrite" in refused.err
    again = cli("data", "prepare", corpus, "--steps", "", "--out", out, "--overwrite", "--tokenizer", "gpt2", "--json")
    assert again.json["kept"] == 3 and again.json["dropped"] == {} and again.json["sources"][str(corpus)]["tokens"] > 18


def test_prepare_takes_steps_from_a_recipe(cli, corpus, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[[steps]]\nname = "personal_data"\naction = "drop"\n', encoding="utf-8")
    found = cli("data", "prepare", corpus, "--steps", recipe, "--out", tmp_path / "out", "--json").json
    assert found["steps"] == ["personal_data(action='drop')"] and found["dropped"] == {"personal_data.email": 1}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["prepare", "--out", "{out}"], 2, "name a source: a file, a folder, or a corpus"),
        (["prepare", "{corpus}"], 2, "OUT is missing"),
        (["prepare", "nothing.txt", "--out", "{out}"], 1, "unknown source 'nothing.txt': there is no such file"),
        (["prepare", "{corpus}", "--out", "{out}", "--steps", "clan"], 2, "did you mean 'clean'?  isinglass explain steps.clean"),
        (["prepare", "{corpus}", "--out", "{out}", "--field", "body"], 1, "corpus.jsonl:1: no field 'body'"),
        (["prepare", "{corpus}", "--out", "{out}", "--steps", "language(keep=['de'])"], 1, "no record is left of 3"),
        (["prepare", "{corpus}", "--out", "{out}", "--steps", "clean("], 2, "cannot read the variant"),
        (["prepare", "{corpus}", "--out", "{corpus}"], 1, "is a file, expected a folder"),
        (["show", "{corpus}", "--format", "xml"], 2, "unknown format 'xml'"),
        (["show", "{corpus}", "--columns", "n"], 1, "no field of its 3 records holds text"),
    ],
)
def test_what_cannot_be_done(cli, corpus, tmp_path, arguments, code, told):
    out = tmp_path / "out"
    ran = cli("data", *(argument.format(out=out, corpus=corpus) for argument in arguments))
    assert ran.code == code and told in ran.err and ran.out == "" and "Traceback" not in ran.err
    assert not out.exists() and [path.name for path in tmp_path.iterdir()] == ["corpus.jsonl"]


def test_ctrl_c_leaves_nothing_behind(tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(
        (json.dumps({"text": "In the beginning God created the heaven and the earth. " * 20}) + "\n") * 20_000, encoding="utf-8"
    )
    arguments = ["data", "prepare", str(corpus), "--steps", "clean, personal_data", "--out", str(tmp_path / "out"), "--processes", "2"]
    running = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, start_new_session=True)
    end = time.monotonic() + 60
    while not any(path.stat().st_size for folder in tmp_path.glob(".out.*") for path in folder.glob("part-*")) and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to every process
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130 and b"stopped" in err and b"Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.jsonl"]
