"""`isinglass tokens train` and `isinglass bench tokenizers`."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from helpers.command import command
from isinglass.cli import bench_tokenizers, tokens_train
from isinglass.cli.main import build_app
from isinglass.text.load import tokenizer

TEXT = "hug hugs hugging, pun puns punning\nnaïve café\n" * 50


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("algorithm", "vocab_size"),
    [("bpe", 262), ("bpe(unit='character')", 30), ("wordpiece", 40), ("unigram", 30), ("character", None), ("word", None), ("byte", None)],
)
def test_trains_saves_and_loads(cli, corpus, tmp_path, algorithm, vocab_size):
    out = tmp_path / "mine"
    size = [] if vocab_size is None else ["--vocab-size", vocab_size]
    ran = cli("tokens", "train", corpus, "--algorithm", algorithm, *size, "--out", out, "--json")
    assert ran.code == 0, ran.err
    ours = tokenizer(out)
    assert ours.vocab_size == ran.json["vocab_size"] == len(ran.json["pieces"])
    assert ran.json["path"] == str(out / "tokenizer.json")
    assert cli("tokens", "hugs", "--with", out).code == 0


def test_says_what_it_learned_and_shows_both_ends(cli, corpus, tmp_path):
    ran = cli("tokens", "train", corpus, "--vocab-size", 262, "--special", "<pad>,</s>", "--out", tmp_path / "mine")
    assert "262 tokens learned in" in ran.err
    assert "262 tokens in" in ran.out and "<pad>" in ran.out and "--json has all" in ran.out
    assert tokenizer(tmp_path / "mine").special == {"<pad>": 0, "</s>": 1}


def test_reads_stdin_and_several_files(process, corpus, tmp_path):
    ran = process("tokens", "train", corpus, "-", "--algorithm", "word", "--out", tmp_path / "mine", "--json", input="новое слово".encode())
    assert ran.code == 0, ran.err
    assert {"hug", "слово"} < {row["piece"] for row in ran.json["pieces"]}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{corpus}", "--vocab-size", "100000"], "vocab_size = 100000 is too large for this corpus: the largest possible is"),
        (["{corpus}", "--vocab-size", "20"], "vocab_size = 20 is too small: special tokens and the alphabet take 256"),
        (["{corpus}", "--algorithm", "bpee"], "unknown trainer 'bpee' in algorithm"),
        (["{corpus}", "--algorithm", "bpe(patern='x')"], "bpe takes: unit='byte', pattern=None"),
        (["{corpus}", "--algorithm", "byte(special=('',))"], "special = ['']: '' is empty"),
        (["nowhere.txt"], "cannot read 'nowhere.txt': No such file or directory"),
        (["{latin}"], "is not UTF-8: byte 0xe9 at place 4 of line 2"),
        (["{empty}"], "nothing to train on: 0 texts with 0 characters hold no word"),
        (["{corpus}", "--vocabsize", "300"], "did you mean '--vocab-size'?"),
        ([], "name a text file, or - for stdin"),
    ],
)
def test_errors(cli, corpus, tmp_path, arguments, told):
    latin, empty = tmp_path / "latin.txt", tmp_path / "empty.txt"
    latin.write_bytes(b"one\ncaf\xe9\n")
    empty.write_bytes(b"")
    given = [argument.format(corpus=corpus, latin=latin, empty=empty) for argument in arguments]
    ran = cli("tokens", "train", *given, "--out", tmp_path / "mine")
    assert ran.code in (1, 2)
    assert told in ran.err
    assert not (tmp_path / "mine").exists()


def test_a_tokenizer_is_not_written_over(cli, corpus, tmp_path):
    arguments = ["tokens", "train", corpus, "--algorithm", "character", "--out", tmp_path / "mine"]
    assert cli(*arguments).code == 0
    ran = cli(*arguments)
    assert ran.code == 1
    assert "there is a tokenizer in" in ran.err and "--overwrite" in ran.err
    assert cli(*arguments, "--overwrite").code == 0


def test_a_folder_that_cannot_be_written(cli, corpus):
    ran = cli("tokens", "train", corpus, "--algorithm", "byte", "--out", corpus / "inside")
    assert ran.code == 1
    assert "cannot write" in ran.err


def test_ctrl_c_leaves_nothing(tmp_path):
    """Stopped while it waits for more text: no folder, and one word of goodbye."""
    run = command("tokens", "train", "-", "--out", tmp_path / "mine")
    restore = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731 - a shell may have switched it off
    process = subprocess.Popen(run, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, preexec_fn=restore)
    assert process.stdin is not None
    process.stdin.write(b"some text\n" * 300_000)  # more than it takes until the first report
    process.stdin.flush()
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.decode().endswith("stopped\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("example", [*tokens_train.EXAMPLES, *bench_tokenizers.EXAMPLES])
def test_examples_in_help_are_understood(example):
    _, *arguments = shlex.split(example)
    function, bound, _ = build_app().parse_args(arguments, exit_on_error=False, print_error=False)
    assert function.__module__ in ("isinglass.cli.tokens_train", "isinglass.cli.bench_tokenizers")
    assert bound is not None


@pytest.mark.parametrize("part", ["tokens train", "bench tokenizers"])
def test_help(cli, part):
    out = cli(*part.split(), "--help").out
    assert all(option in out for option in ("--json", "--save", "--quiet", "--vocab-size"))


def test_bench_prints_ratios(cli, corpus):
    ran = cli("bench", "tokenizers", "--with", "gpt2,bert-base-uncased", "--file", corpus, "--vocab-size", 260, "--rounds", 2, "--json")
    assert ran.code == 0, ran.err
    rows = ran.json["encoding"]
    assert [(row["tokenizer"], row["beside"]) for row in rows] == [
        ("gpt2", "tokenizers"),
        ("gpt2", "tiktoken"),
        ("bert-base-uncased", "tokenizers"),
    ]
    assert all(row["equal ids"] and row["lowest"] <= row["ratio"] <= row["highest"] for row in [*rows, *ran.json["training"]])
    assert all(row["ours MB/s"] > 0 for row in rows)
    assert ran.json["training"][0]["ours_seconds"] > 0
