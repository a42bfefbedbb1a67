"""`isinglass embed`: what it prints, saves and refuses."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

from isinglass.cli import embed, embed_compare, embed_map, embed_senses, embed_text, embed_words
from isinglass.embedding.word_vectors import WordVectors

VERBS = (embed, embed_text, embed_compare, embed_map, embed_senses, embed_words)
EXAMPLES = [example for verb in VERBS for example in verb.EXAMPLES]


@pytest.mark.parametrize("example", [example for example in dict.fromkeys(EXAMPLES) if "smollm2" not in example and "train" not in example])
def test_every_example_runs(cli, example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.txt").write_text("Soup and bread.\nA cold wind.\nThe match ended.\nRain.\n", encoding="utf-8")
    sentences = '["The spring is late.", "I love spring."]', '["The spring broke.", "Oil the spring."]'
    (tmp_path / "senses.toml").write_text("[season]\nsentences = {}\n[coil]\nsentences = {}\n".format(*sentences), encoding="utf-8")
    words = ("king", "man", "woman", "queen", "bread", "father", "mother", "stone", "water", "cat", "dog", "rug")
    vectors = np.random.default_rng(0).normal(size=(len(words), 4)).astype(np.float32)
    WordVectors(words, vectors).save(tmp_path / "words.safetensors")
    ran = cli(*shlex.split(example)[1:], "--quiet")
    assert ran.code == 0 and ran.out.strip() and ran.err == ""


def test_a_labelled_file_is_mapped_with_its_labels(cli, tmp_path):
    rows = [f"{label},{text} number {n}" for n in range(3) for label, text in (("food", "Warm soup"), ("weather", "Cold rain"))]
    (tmp_path / "texts.csv").write_text("label,text\n" + "\n".join(rows) + "\n", encoding="utf-8")
    found = cli("embed", "map", "--file", str(tmp_path / "texts.csv"), "--json").json
    assert found["clusters"]["purity"] == 1 and found["classifier"]["accuracies"]["vectors"] == 1


def test_a_query_finds_its_neighbour(cli, tmp_path):
    (tmp_path / "items.txt").write_text("A bowl of hot soup\nA pair of running shoes\n", encoding="utf-8")
    found = cli("embed", "compare", "--file", str(tmp_path / "items.txt"), "--query", "something to eat", "--pairs", "1", "--json").json
    assert found[0]["item"] == "A bowl of hot soup"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["text"], 2, "no text was given"),
        (["compare", "a", __file__], 2, "is the path of a file"),
        (["compare"], 2, "no texts were given"),
        (["compare", "a", "--file", "x.txt"], 2, "give either TEXTS or --file"),
        (["compare", "a", "b", "--pooling", "sum"], 2, "unknown pooling 'sum'"),
        (["senses", "spring"], 2, "unknown word 'spring'"),
        (["map", "--file", "none.txt"], 1, "none.txt"),
    ],
)
def test_what_is_refused(cli, arguments, code, told):
    ran = cli("embed", *arguments)
    assert ran.code == code and told in ran.err and "Traceback" not in ran.err


def test_word_vectors_from_text_to_answer(cli, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("the cat sat on the mat\n\nthe dog sat on the rug\n\n" * 20, encoding="utf-8")
    out = tmp_path / "words.safetensors"
    made = cli("embed", "train", str(notes), "--method", "fasttext(d=8, epochs=2, buckets=50)", "--out", str(out), "--json")
    assert made.json["words"] == 7 and made.json["d"] == 8 and "words/s" in made.err
    asked = ("embed", "words", str(out), "--nearest", "cat", "--analogy", "cat - mat + rug", "--similar", "cat/dog", "--top", "3")
    found = cli(*asked, "--json").json
    assert (
        len(found["nearest"]["cat"]) == 3
        and found["pairs"][0]["words"] == ["cat", "dog"]
        and len(found["analogies"]["cat - mat + rug"]) == 3
    )
    assert "Words in a plane" in cli(*asked).out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["train", "kjv", "--out", "words.bin"], 2, "unknown file format '.bin'"),
        (["train", "kjv", "--method", "bert", "--out", "words.txt"], 2, "unknown method 'bert'"),
        (["train", "none.txt", "--out", "words.txt"], 1, "unknown source 'none.txt'"),
        (["words", "none.txt"], 1, "no file 'none.txt'"),
        (["words", "none.txt", "--similar", "cat"], 2, "expected two words"),
    ],
)
def test_words_that_are_refused(cli, arguments, code, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = cli("embed", *arguments)
    assert ran.code == code and told in ran.err and not list(tmp_path.iterdir())


def test_the_bench_beside_gensim(process, tmp_path):
    (tmp_path / "notes.txt").write_text("the cat sat on the mat\n\nthe dog sat on the rug\n\n" * 200, encoding="utf-8")
    ran = process("bench", "embed", str(tmp_path / "notes.txt"), "--rounds", "1", "--json")
    assert ran.code == 0 and [row["architecture"] for row in ran.json["rows"]] == ["skip_gram", "cbow"]
