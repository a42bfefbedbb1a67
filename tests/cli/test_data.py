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
from isinglass.cli import data, data_mix, data_prepare, data_show, data_split
from isinglass.cli.main import build_app

TEXTS = ["In the beginning God created the heaven.", "In the beginning God created the heaven.", "Write to ann@example.org, please."]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": text, "n": n}) + "\n" for n, text in enumerate(TEXTS)), encoding="utf-8")
    return path


@pytest.mark.parametrize("example", [*data.EXAMPLES, *data_show.EXAMPLES, *data_prepare.EXAMPLES, *data_split.EXAMPLES, *data_mix.EXAMPLES])
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


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """200 texts, every tenth of which stands there twice."""
    path = tmp_path / "many.jsonl"
    texts = [f"The house number {n} of the long street by the river was painted in colour {n}." for n in range(200)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*texts, *texts[::10]]), encoding="utf-8")
    return path


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_split_puts_equal_texts_on_one_side(cli, many, tmp_path):
    ran = cli("data", "split", many, "--shares", "0.7,0.3", "--out", tmp_path / "sides")
    assert ran.code == 0 and "220 records of" in ran.out, ran.err
    assert sorted(path.name for path in (tmp_path / "sides").iterdir()) == ["train.jsonl", "validation.jsonl"]
    train, validation = (lines(tmp_path / "sides" / f"{name}.jsonl") for name in ("train", "validation"))
    assert not {row["text"] for row in train} & {row["text"] for row in validation} and len(train) + len(validation) == 220
    assert 120 < len(train) < 190 and train[0]["place"].startswith(f"{many}:")
    refused = cli("data", "split", many, "--out", tmp_path / "sides")
    assert refused.code == 1 and "add --overwrite" in refused.err
    again = cli("data", "split", many, "--shares", "a=0.5,b=0.5", "--seed", 1, "--overwrite", "--out", tmp_path / "sides", "--json")
    assert [row["side"] for row in again.json["sides"]] == ["a", "b"] and again.json["records"] == 220
    assert sorted(path.name for path in (tmp_path / "sides").iterdir()) == ["a.jsonl", "b.jsonl"]


def test_split_keeps_near_duplicates_together(cli, tmp_path):
    path = tmp_path / "near.jsonl"
    words = [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
    ]
    texts = [" ".join([f"w{n}", *words[n % 5 :], *(f"x{n}y{k}" for k in range(30)), end]) for n in range(20) for end in ("a", "b")]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    assert cli("data", "split", path, "--shares", "0.5,0.5", "--near", 0.8, "--out", tmp_path / "sides").code == 0
    firsts = [{row["text"].split()[0] for row in lines(tmp_path / "sides" / f"{name}.jsonl")} for name in ("train", "validation")]
    assert not firsts[0] & firsts[1] and len(firsts[0]) + len(firsts[1]) == 20


def test_mix_gives_each_source_its_share_of_the_tokens(cli, many, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps({"text": f"Short {n}."}) + "\n" for n in range(400)), encoding="utf-8")
    asked = ("data", "mix", many, other, "--weights", "3,1", "--tokens", 2000)
    ran = cli(*asked, "--out", tmp_path / "mixed.jsonl", "--json")
    assert ran.code == 0, ran.err
    shares = {row["source"]: row["share"] for row in ran.json["sources"]}
    assert shares == {str(many): pytest.approx(0.75, abs=0.02), str(other): pytest.approx(0.25, abs=0.02)}
    mixed = lines(tmp_path / "mixed.jsonl")
    assert len(mixed) == ran.json["records"] and 2000 <= ran.json["tokens"] < 2030
    assert {row["source"] for row in mixed} == {str(many), str(other)} and mixed[0]["place"].startswith(mixed[0]["source"])
    assert "The mixture, by tokens" in cli(*asked, "--out", tmp_path / "again.jsonl").out
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "mixed.jsonl").read_bytes()
    assert "is there already" in cli(*asked, "--out", tmp_path / "mixed.jsonl").err
    assert cli("data", "show", tmp_path / "mixed.jsonl", "--json").json["records"] == len(mixed)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["mix", "{corpus}", "--out", "{out}.jsonl"], 2, "expected at least two different ones"),
        (["mix", "{corpus}", "{corpus}", "--out", "{out}.jsonl"], 2, "expected at least two different ones"),
        (["mix", "{corpus}", "kjv", "--weights", "1", "--out", "{out}.jsonl"], 2, "--weights: 1 for 2 sources, expected one for each"),
        (["mix", "{corpus}", "kjv", "--weights", "1,0", "--out", "{out}.jsonl"], 2, "the share of 'kjv' is 0.0, expected more than 0"),
        (["mix", "{corpus}", "kjv", "--out", "{out}.txt"], 2, "records are written as JSON lines"),
        (["mix", "{corpus}", "kjv", "--at-end", "repeat", "--out", "{out}.jsonl"], 2, "at_end = 'repeat' without tokens would never end"),
        (["split", "{corpus}", "--shares", "0.5", "--out", "{out}"], 2, "1 parts without names, expected 2 or 3"),
        (["split", "{corpus}", "--shares", "0.5,0.4", "--out", "{out}"], 2, "expected parts that sum to 1"),
        (["split", "{corpus}", "--shares", "a=x,b=1", "--out", "{out}"], 2, "expected name=number for each side"),
        (["split", "{corpus}", "--shares", "a=1,a=0", "--out", "{out}"], 2, "expected different names, which become files"),
        (["split", "{corpus}", "--shares", "0.999,0.001", "--out", "{out}"], 1, "no text of 3 falls on the side 'validation'"),
        (["split", "{corpus}", "--near", "2", "--out", "{out}"], 2, "threshold = 2.0, expected 0.1 to 1"),
        (["split", "{corpus}", "--out", "{corpus}"], 1, "is a file, expected a folder"),
        (["split", "{corpus}", "--shares", "0.5,0.5", "--seed", "2", "--out", "{corpus}/sides"], 1, "corpus.jsonl/sides': "),
        (["mix", "{corpus}", "kjv", "--tokens", "9", "--out", "{corpus}/mixed.jsonl"], 1, "corpus.jsonl/mixed.jsonl': "),
        (["split", "{corpus}", "--overwrite", "--out", "{folder}"], 1, "holds files of something else: corpus.jsonl.txt"),
        (["mix", "{corpus}", "kjv", "--out", "{folder}.jsonl"], 1, "is a folder, expected a file"),
    ],
)
def test_what_cannot_be_mixed_or_split(cli, corpus, tmp_path, arguments, code, told):
    out = tmp_path / "out"
    folder = tmp_path / "folder"
    for name in ("folder", "folder.jsonl"):
        (tmp_path / name).mkdir()
    (folder / "corpus.jsonl.txt").write_text("of something else")
    ran = cli("data", *(argument.format(out=out, corpus=corpus, folder=folder) for argument in arguments))
    assert ran.code == code and told in ran.err and ran.out == "" and "Traceback" not in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus.jsonl", "folder", "folder.jsonl"]
    assert [path.name for path in folder.iterdir()] == ["corpus.jsonl.txt"]


def test_ctrl_c_leaves_nothing_behind(tmp_path):
    corpus, slow = tmp_path / "corpus.jsonl", tmp_path / "slow.py"
    corpus.write_text(
        (json.dumps({"text": "In the beginning God created the heaven and the earth. " * 20}) + "\n") * 20_000, encoding="utf-8"
    )
    # a step of 5 ms a text: fast machines were through with 66 MB of real steps before they were told to stop
    slow.write_text(
        "import time\nfrom isinglass.data.step import Passed, TextStep\n\nclass Slow(TextStep):\n"
        "    def judge(self, text):\n        time.sleep(0.005)\n        return Passed(text)\n\ndef build():\n    return Slow()\n"
    )
    arguments = ["data", "prepare", str(corpus), "--steps", str(slow), "--out", str(tmp_path / "out"), "--processes", "2"]
    running = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, start_new_session=True)
    end = time.monotonic() + 60
    while not any(path.stat().st_size for folder in tmp_path.glob(".out.*") for path in folder.glob("part-*")) and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to every process
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130 and b"stopped" in err and b"Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["corpus.jsonl", "slow.py"]
