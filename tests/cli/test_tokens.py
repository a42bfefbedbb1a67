"""The parts of `isinglass tokens`: what they print, save and refuse."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import sys

import pytest
import torch

import isinglass as ig
from isinglass.cli import tokens_audit, tokens_compare, tokens_explain, tokens_show
from isinglass.core.errors import CheckpointError
from isinglass.text.samples import SAMPLES

EXAMPLES = [example for module in (tokens_show, tokens_compare, tokens_explain, tokens_audit) for example in module.EXAMPLES]
PARTS = ["show", "compare", "explain", "audit"]
AUDITS = ["numbers", "code", "case", "languages", "glitches", "frequencies", "sizes"]


@pytest.mark.parametrize("part", [*PARTS, *(f"audit {name}" for name in AUDITS)])
def test_help_has_the_three_options_and_examples(cli, part):
    ran = cli("tokens", *part.split(), "--help")
    assert ran.code == 0 and all(
        option in ran.out for option in ("--json", "--save", "--quiet", "Examples:", f"isinglass tokens {part.split()[0]}")
    )


@pytest.mark.parametrize("example", [example for example in EXAMPLES if "--model" not in example])
def test_every_example_runs(cli, example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("A text of words, and of more words, and of more.\n" * 3, encoding="utf-8")
    ran = cli(*shlex.split(example)[1:], "--quiet")
    assert ran.code == 0 and ran.out.strip() and ran.err == ""


@pytest.mark.parametrize(
    "arguments",
    [["show", "gpt2"], ["compare", "--with", "gpt2,t5"], ["explain", "lower", "--with", "t5"], ["audit", "--with", "gpt2"]]
    + [["audit", name, "--with", "gpt2"] for name in AUDITS if name != "glitches"],
)  # fmt: skip
def test_json_alone_on_stdout_and_every_format(cli, arguments, tmp_path):
    ran = cli("tokens", *arguments, "--json", "--quiet", "--save", tmp_path / "same.json")
    assert ran.code == 0 and ran.err == ""
    assert ran.json and ran.json == json.loads((tmp_path / "same.json").read_text(encoding="utf-8"))
    for suffix, begins in ((".csv", ""), (".md", "| "), (".html", "<!doctype html>"), (".txt", ""), (".svg", "<svg")):
        assert cli("tokens", *arguments, "--quiet", "--save", tmp_path / f"out{suffix}").code == 0
        assert (tmp_path / f"out{suffix}").read_text(encoding="utf-8").startswith(begins)


def test_the_built_in_set_as_csv_and_markdown(cli, tmp_path):
    found = cli("tokens", "compare", "--with", "gpt2,cl100k_base", "--json", "--save", tmp_path / "set.csv").json
    with (tmp_path / "set.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["text"], row["tokenizer"]) for row in rows] == [(name, one) for name in SAMPLES for one in ("gpt2", "cl100k_base")]
    gpt2 = ig.tokenizer("gpt2")
    for row, told in zip(rows, found["rows"], strict=True):
        assert int(row["tokens"]) == told["tokens"] == len(found["texts"][row["text"]]["tokens"][row["tokenizer"]])
    assert [int(row["tokens"]) for row in rows[::2]] == [gpt2.count(text) for text in SAMPLES.values()]
    cli("tokens", "compare", "--with", "gpt2,cl100k_base", "--save", tmp_path / "set.md")
    lines = (tmp_path / "set.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 + len(rows) and lines[2].startswith("| English | gpt2 | 50,257 |")


def test_one_text_is_compared_as_before(cli):
    found = cli("tokens", "compare", "สวัสดี", "--with", "gpt2,bert-base-uncased", "--json").json
    assert found["text"] == "สวัสดี" and [one["n_tokens"] for one in found["tokenizers"]] == [12, 1]
    assert [one["unknown_rate"] for one in found["tokenizers"]] == [0, 1]


def test_explain_tells_every_merge(cli):
    ran = cli("tokens", "explain", "unhappiness", "--with", "gpt2")
    assert "8 merges of 11 bytes" in ran.out and "un│h│appiness" in ran.out and "42,661" in ran.out
    (found,) = cli("tokens", "explain", "unhappiness", "--with", "gpt2", "--json").json
    assert found["parts"][0]["ids"] == [403, 71, 42661] and len(found["parts"][0]["steps"]) == 8


def test_best_says_how_many_cuts(cli):
    (found,) = cli("tokens", "explain", "tokenization", "--with", "t5", "--best", "3", "--json").json
    assert len(found["parts"][0]["best_cuts"]) == 3
    ran = cli("tokens", "explain", "a", "--best", "0")
    assert ran.code == 2 and "--best = '0': expected at least 1" in ran.err


def test_the_finding_is_said_and_quiet_says_nothing(cli):
    assert "lose characters of some languages" in cli("tokens", "audit", "languages", "--with", "t5,bert-base-uncased").err
    assert cli("tokens", "audit", "languages", "--with", "t5", "--quiet").err == ""


def test_audit_of_chosen_words(cli):
    found = cli("tokens", "audit", "case", "--words", "fire", "--with", "gpt2", "--json").json
    assert {row["word"] for rows in found["tables"].values() for row in rows} == {"fire"}


def test_glitches_of_a_model(cli, byte_folder):
    found = cli("tokens", "audit", "glitches", "--model", byte_folder, "--most", "4", "--json").json
    rows = found["embeddings"]["tables"]["The smallest embeddings"]
    norms = ig.load(byte_folder).model.get_parameter("embed_tokens.weight").detach().norm(dim=1)
    assert [row["id"] for row in rows] == norms[:256].argsort()[:4].tolist()
    assert [row["norm"] for row in rows] == pytest.approx(norms[:256].sort().values[:4].tolist())
    assert set(found) == {"vocabulary", "embeddings"}


def test_a_model_without_embeddings():
    with pytest.raises(CheckpointError, match=r"a Linear has no embed_tokens\.weight to look at"):
        tokens_audit.embedding_norms(torch.nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("arguments", "code", "fragments"),
    [
        (["show", "gtp2"], 1, ["unknown tokenizer 'gtp2'", "did you mean 'gpt2'?"]),
        (["show"], 2, ["isinglass tokens show: NAME is missing"]),
        (["explain"], 2, ["no text was given", "or --file text.txt"]),
        (["explain", "a", "--with", ","], 2, ["--with names no tokenizer", "hint: --with gpt2"]),
        (["compare", "a", "--file", "b"], 2, ["give either a TEXT or --file, not both"]),
        (["compare", __file__], 2, ["is the path of a file", f"--file {__file__} reads the file"]),
        (["compare", "--file", "nowhere.txt"], 1, ["cannot read 'nowhere.txt'"]),
        (["audit", "numbrs"], 2, ["numbrs"]),
        (["audit", "numbers", "--with", "gtp2"], 1, ["unknown tokenizer 'gtp2'"]),
        (["audit", "frequencies", "a b", "--with", "gpt2"], 1, ["tokens occur at least 2 times", "hint: give a longer text with --file"]),
        (["audit", "sizes", " ", "--with", "gpt2"], 1, ["the text holds no word to count"]),
        (["audit", "glitches", "--model", "smollm"], 1, ["unknown model 'smollm'", "did you mean 'smollm2'?"]),
        (["audit", "glitches", "--most", "0"], 2, ["--most = '0': expected at least 1"]),
    ],
)
def test_what_is_refused(cli, arguments, code, fragments, tmp_path):
    ran = cli("tokens", *arguments, "--save", tmp_path / "out.json")
    assert ran.code == code and ran.out == "" and ran.err.startswith("error: ") and "Traceback" not in ran.err
    assert all(fragment in ran.err for fragment in fragments), ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["tokens", "explain", "a"], ["tokens", "audit", "case", "--with", "gpt2"], ["tokens", "show", "gpt2"]]
)
def test_no_torch(arguments):
    code = f"import sys; from isinglass.cli.main import main; main({arguments!r}); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
