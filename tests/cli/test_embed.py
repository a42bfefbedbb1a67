"""`isinglass embed`: what it prints, saves and refuses."""

from __future__ import annotations

import shlex

import pytest

from isinglass.cli import embed, embed_compare, embed_map, embed_senses, embed_text

EXAMPLES = [example for verb in (embed, embed_text, embed_compare, embed_map, embed_senses) for example in verb.EXAMPLES]


@pytest.mark.parametrize("example", [example for example in dict.fromkeys(EXAMPLES) if "smollm2" not in example])
def test_every_example_runs(cli, example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.txt").write_text("Soup and bread.\nA cold wind.\nThe match ended.\nRain.\n", encoding="utf-8")
    sentences = '["The spring is late.", "I love spring."]', '["The spring broke.", "Oil the spring."]'
    (tmp_path / "senses.toml").write_text("[season]\nsentences = {}\n[coil]\nsentences = {}\n".format(*sentences), encoding="utf-8")
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
