"""`isinglass inspect predict`, `calibrate` and `probe`, each run by itself, as people and machines read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import isinglass as ig
from isinglass.cli import inspect_calibrate, inspect_predict, inspect_probe
from isinglass.cli.verb import examples_text
from isinglass.generation.lm import create, export


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Over bytes, with room for a sentence cut into characters."""
    return export(create("tiny(context_length=128)"), tmp_path_factory.mktemp("models") / "small")


def test_several_texts_as_json(cli: Callable, small: Path, tmp_path: Path) -> None:
    ran = cli(
        "inspect",
        "predict",
        small,
        "Hello",
        "World",
        "--top",
        3,
        "--temperatures",
        "0.1,1",
        "--json",
        "--quiet",
        "--save",
        tmp_path / "a.json",
    )
    assert ran.code == 0 and ran.err == ""
    assert ran.json == json.loads((tmp_path / "a.json").read_text())
    assert [one["prompt"] for one in ran.json["prompts"]] == ["Hello", "World"]
    assert [len(one["predictions"]) for one in ran.json["prompts"]] == [6, 6]
    alone = ig.trace(ig.load(small), "World").next_tokens(3, [0.1, 1.0])
    assert [row["id"] for row in ran.json["prompts"][1]["predictions"]] == [row["id"] for row in alone.table.rows]
    assert "".join(token["piece"] for token in ran.json["prompts"][0]["tokens"]) == "Hello"


def test_normalizations_surprisal_and_tokenizations(cli: Callable, small: Path) -> None:
    ran = cli(
        "inspect",
        "predict",
        small,
        "Hello there",
        "--top",
        2,
        "--normalizations",
        "softmax,sparsemax",
        "--surprisal",
        "--tokenizations",
        "--json",
    )
    assert ran.code == 0, ran.err
    assert [one["normalization"] for one in ran.json["normalizations"][0]["normalizations"]] == ["softmax", "sparsemax"]
    assert len(ran.json["surprisal"][0]["tokens"]) == 11 and ran.json["surprisal"][0]["tokens"][0]["nats"] is None
    assert [one["cut"] for one in ran.json["tokenizations"][0]["cuts"]][:2] == ["usual", "characters"]


@pytest.mark.parametrize("suffix", [".csv", ".html", ".md", ".png", ".svg", ".txt"])
def test_it_saves_itself(cli: Callable, small: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"next{suffix}"
    ran = cli("inspect", "predict", small, "</script>", "--top", 2, "--save", path)
    assert ran.code == 0 and f"saved {path}" in ran.err
    assert "What follows each text" in ran.out and "The exact tokens that went in" in ran.out
    if suffix == ".csv":
        assert path.read_text().startswith("prompt,temperature,rank,token")
    if suffix == ".html":
        assert "isinglass inspect predict" in path.read_text()  # the command that makes it again


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["predict", "MODEL"], 2, "error: no text was given"),
        (["predict", "MODEL", "a", "--normalizations", "softmx"], 2, "unknown normalization 'softmx' in --normalizations"),
        (["predict", "MODEL", "a", "--surprisal"], 1, "error: the text is one token, 'a'"),
        (["probe", "MODEL"], 2, "error: expected either --file or --task"),
        (["probe", "MODEL", "--task", "plurals"], 1, "error: unknown task 'plurals'"),
        (["probe", "MODEL", "--file", "none.csv"], 1, "error: unknown source 'none.csv'"),
        (["calibrate", "MODEL", "--text", "none.txt"], 1, "error: unknown source 'none.txt'"),
        (["calibrate", "MODEL", "--questions", "none.toml"], 1, "error: cannot read 'none.toml'"),
    ],
)
def test_what_cannot_be_done(cli: Callable, small: Path, arguments: list[str], code: int, words: str) -> None:
    ran = cli("inspect", *[small if one == "MODEL" else one for one in arguments])
    assert (ran.code, ran.out) == (code, "") and words in ran.err


def test_calibrate(cli: Callable, small: Path, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("A stove has a door of mica, and one sees the fire. " * 40)
    (tmp_path / "own.toml").write_text('[fact]\n"One, two," = ["three"]\n"A, B," = ["C"]\n[trick]\n"The last number is" = []\n')
    ran = cli(
        "inspect", "calibrate", small, "--text", tmp_path / "own.txt", "--questions", tmp_path / "own.toml", "--passages", 4, "--json"
    )
    assert ran.code == 0, ran.err
    assert "2 passages" in ran.err and "3 of 3 questions" in ran.err  # how far it is
    assert ran.json["text"]["before"]["answers"] == 2 * 63 and 0.01 <= ran.json["text"]["temperature"] <= 100
    assert ran.json["text"]["after"]["accuracy"] == ran.json["text"]["before"]["accuracy"]
    assert [row["kind"] for row in ran.json["questions"]["kinds"]] == ["fact", "trick"]
    shown = cli(
        "inspect", "calibrate", small, "--text", tmp_path / "own.txt", "--questions", tmp_path / "own.toml", "--save", tmp_path / "a.png"
    )
    assert "ECE, equal width" in shown.out and "Certainty by kind of question" in shown.out


def test_probe(cli: Callable, small: Path, tmp_path: Path) -> None:
    rows = "\n".join(f"text {n} {'good' if n % 2 else 'bad'},{'plus' if n % 2 else 'minus'}" for n in range(20))
    (tmp_path / "own.csv").write_text(f"text,label\n{rows}\n")
    ran = cli("inspect", "probe", small, "--file", tmp_path / "own.csv", "--pool", "mean", "--folds", 2, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["task"] == "own.csv" and ran.json["classes"] == ["minus", "plus"] and ran.json["majority"] == 0.5
    assert len(ran.json["layers"]) == 1 + ig.load(small).config.n_layers
    tokens = cli("inspect", "probe", small, "--task", "repeats", "--save", tmp_path / "probe.html")
    assert "A linear probe at each layer" in tokens.out and "--task repeats" in (tmp_path / "probe.html").read_text()


@pytest.mark.parametrize("verb", [inspect_predict, inspect_calibrate, inspect_probe])
def test_help_shows_the_examples(cli: Callable, verb) -> None:
    name = verb.__name__.rpartition("_")[2]
    ran = cli("inspect", name, "--help")
    assert ran.code == 0 and all(line.strip() in ran.out for line in examples_text(verb.EXAMPLES).splitlines())
