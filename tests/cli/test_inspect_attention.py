"""`isinglass inspect attention` and `isinglass inspect heads`."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

import isinglass as ig
from helpers.induction import induction_transformer
from helpers.kinds import KINDS
from isinglass.generation.lm import export

TEXT = "the cat; the cat"


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory):
    """Two layers of four query heads over two key-value heads."""
    return export(KINDS["llama with grouped heads"](), tmp_path_factory.mktemp("models") / "grouped")


@pytest.fixture(scope="module")
def circuit(tmp_path_factory: pytest.TempPathFactory):
    return export(induction_transformer(), tmp_path_factory.mktemp("models") / "circuit", format="isinglass")


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory):
    return export(KINDS["t5"](), tmp_path_factory.mktemp("models") / "t5")


def test_attention_as_json(cli, grouped):
    ran = cli("inspect", "attention", grouped, TEXT, "--layer", 1, "--head", 3, "--json", "--quiet")
    assert ran.code == 0 and ran.err == ""
    expected = ig.trace(ig.load(grouped), TEXT).attention_weights()[1, 3]
    assert ran.json["open"]["layer"] == 1 and ran.json["open"]["head"] == 3
    assert np.array(ran.json["open"]["weights"]) == pytest.approx(expected.numpy())
    assert [row["kv_head"] for row in ran.json["heads"]] == [0, 0, 1, 1] * 2
    assert "".join(ran.json["queries"]) == TEXT


@pytest.mark.parametrize(
    ("suffix", "begins"), [(".html", b"<!doctype html>"), (".png", b"\x89PNG"), (".svg", b"<svg"), (".csv", b"layer,head,kv")]
)
def test_attention_is_saved(cli, grouped, tmp_path, suffix, begins):
    file = tmp_path / f"seen{suffix}"
    ran = cli("inspect", "attention", grouped, TEXT, "--layer", 1, "--save", file)
    assert ran.code == 0 and file.read_bytes().startswith(begins)
    assert "$ isinglass inspect attention" in ran.out and "--layer 1 --head 0" in ran.out


def test_rollout(cli, grouped):
    ran = cli("inspect", "attention", grouped, TEXT, "--rollout", "--position", 3, "--json")
    assert ran.json["position"] == 3
    assert [sum(row) for row in ran.json["after_last_layer"]] == pytest.approx([1.0] * len(TEXT))


def test_cross_attention(cli, t5):
    ran = cli("inspect", "attention", t5, "abc def", "--target", "de", "--which", "cross", "--layer", 1, "--json")
    weights = ran.json["open"]["weights"]
    assert ran.json["queries"][0] == "<pad>" and len(weights) == len(ran.json["queries"]) and len(weights[0]) == len(ran.json["keys"])


def test_heads_finds_the_circuit(cli, circuit, tmp_path):
    file = tmp_path / "heads.csv"
    ran = cli("inspect", "heads", circuit, "abcd efgh abcd efgh", "--by", "induction", "--seed", 3, "--top", 2, "--save", file)
    assert ran.code == 0
    assert "the first 2 of 4 heads" in ran.out and "seed 3" in ran.out and "What the statistics mean" in ran.out
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert len(rows) == 4 and (rows[0]["layer"], rows[0]["head"]) == ("1", "1") and float(rows[0]["induction"]) > 0.999


def test_heads_of_files_and_stdin(cli, circuit, tmp_path):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("abcabc", "utf-8")
    two.write_text("xyxyxyxy", "utf-8")
    ran = cli("inspect", "heads", circuit, "--file", one, "--file", two, "--json", "--window", 2)
    assert ran.json["notes"][0] == "texts: 2, with 14 tokens in all; local: 2 tokens"
    compared = cli("inspect", "heads", circuit, "--file", one, "--file", two, "--compare", "--json")
    assert [(row["text"], row["tokens"]) for row in compared.json["texts"]] == [(str(one), 6), (str(two), 6)]
    assert compared.json["texts"][0]["induction"] == 0.25  # one head of four


def test_samples_are_compared(cli, circuit):
    ran = cli("inspect", "heads", circuit, "--compare")
    assert all(name in ran.out for name in ("narrative", "code", "poetry", "every text is cut to 128 tokens"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["attention", "MODEL", TEXT, "--layer", 2], 1, "layer 2 does not exist\n  there are layers 0 to 1"),
        (["attention", "MODEL", TEXT, "--head", 4], 1, "head 4 does not exist\n  there are heads 0 to 3"),
        (["attention", "MODEL", ""], 1, "prompt 0 is empty"),
        (["attention", "MODEL", TEXT, "--which", "cros"], 2, "unknown kind of attention 'cros' in --which"),
        (["attention", "MODEL", TEXT, "--which", "cross"], 1, "unknown kind of attention 'cross'"),
        (["attention", "MODEL", TEXT, "--rollout", "--position", 99], 1, "position 99 does not exist"),
        (["heads", "MODEL", TEXT, "--by", "inductoin"], 2, "unknown statistic 'inductoin'"),
        (["heads", "MODEL", TEXT, "--window", 0], 2, "expected at least 1"),
        (["heads", "MODEL", "--file", "nowhere.txt"], 1, "cannot read 'nowhere.txt'"),
    ],
)
def test_bad_input(cli, grouped, arguments, code, words):
    ran = cli("inspect", *[grouped if one == "MODEL" else one for one in arguments])
    assert ran.code == code and ran.out == "" and words in ran.err


def test_the_terminal_lists_the_heads_of_the_open_layer(cli, grouped):
    ran = cli("inspect", "attention", grouped, TEXT, "--layer", 1)
    assert "Where each head of layer 1 looks" in ran.out and "What each token looks at most, layer 1, head 0" in ran.out
