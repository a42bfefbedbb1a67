"""`isinglass inspect layers`."""

from __future__ import annotations

import pytest

import isinglass as ig
from helpers.kinds import KINDS
from isinglass.generation.lm import export

TEXT = "abcdef gh"


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory):
    return export(KINDS["llama with grouped heads"](), tmp_path_factory.mktemp("models") / "grouped")


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory):
    return export(KINDS["t5"](), tmp_path_factory.mktemp("models") / "t5")


def test_the_lens_is_the_first_view(cli, grouped):
    ran = cli("inspect", "layers", grouped, TEXT, "--token", "a", "--against", "b", "--position", -2, "--json", "--quiet")
    assert ran.code == 0 and ran.err == ""
    expected = ig.trace(ig.load(grouped), TEXT).lens(token="a", against="b", position=-2)
    assert ran.json["view"] == "lens" and ran.json["position"] == 7 and ran.json["places"] == ["embed", "0", "1"]
    assert ran.json["watched"][0]["probability"] == pytest.approx(expected.watched_probabilities[:, 0].tolist())
    assert [one["token"] for one in ran.json["watched"]] == ["a", "b"]


def test_the_lens_for_people(cli, grouped):
    ran = cli("inspect", "layers", grouped, TEXT, "--after", "sublayer")
    assert ran.code == 0 and "Logit lens" in ran.out and "1 attent" in ran.out and "rank" in ran.out
    assert f"$ isinglass inspect layers {grouped} 'abcdef gh' --view lens --after sublayer" in ran.out.replace("\n", " ").replace("  ", " ")


@pytest.mark.parametrize(
    ("view", "key"), [("similarity", "cka"), ("norms", "stream"), ("contributions", "shares")]
)  # fmt: skip
def test_other_views(cli, grouped, tmp_path, view, key):
    file = tmp_path / "seen.html"
    ran = cli("inspect", "layers", grouped, TEXT, "--view", view, "--json", "--save", file)
    assert ran.code == 0 and ran.json[key] and ran.json["view"] == view and len(ran.json["tokens"]) == 9
    assert file.read_text("utf-8").startswith("<!doctype html>")


def test_the_error_of_the_sum_is_printed(cli, grouped):
    ran = cli("inspect", "layers", grouped, TEXT, "--view", "contributions", "--token", "a")
    assert ran.code == 0 and "sum of all 11 shares" in ran.out and "error " in ran.out


def test_an_encoder_decoder(cli, t5):
    ran = cli("inspect", "layers", t5, "abc def", "--target", "gh", "--json")
    assert ran.json["tokens"][0]["token"] == "<pad>"
    ran = cli("inspect", "layers", t5, "abc def", "--target", "gh", "--view", "norms", "--side", "encoder", "--json")
    assert "<pad>" not in [one["token"] for one in ran.json["tokens"]] and list(ran.json["added"]) == ["attention", "mlp"]


def test_an_encoder_reads_its_mask(cli, tmp_path):
    lm = ig.create("bert(n_layers=1, d_model=32, n_heads=4, heads=['masked_lm'])", tokenizer=ig.load("minilm").tokenizer)
    ran = cli("inspect", "layers", export(lm, tmp_path / "bert", format="isinglass"), "the [MASK] is bright", "--json")
    assert ran.code == 0 and ran.json["tokens"][ran.json["position"]]["token"] == "[MASK]"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--view", "lense"], 2, "lense"),
        (["--view", "norms", "--token", "a"], 2, "--token says nothing to --view norms\nhint: it belongs to --view lens or contributions"),
        (["--skip", 1], 2, "--skip says nothing to --view lens\nhint: it belongs to --view similarity"),
        (["--view", "similarity", "--skip", -1], 2, "expected at least 0"),
        (["--position", 99], 1, "position 99 does not exist"),
        (["--token", "ab"], 1, "the answer 'ab' is 2 tokens, expected one"),
        (["--target", "a"], 1, "target was given, but this model writes no second text"),
    ],
)
def test_bad_input(cli, grouped, arguments, code, words):
    ran = cli("inspect", "layers", grouped, TEXT, *arguments)
    assert ran.code == code and ran.out == "" and words in ran.err


def test_an_empty_text(cli, grouped):
    ran = cli("inspect", "layers", grouped, "")
    assert ran.code == 1 and "prompt 0 is empty" in ran.err


def test_minilm_has_no_lens_and_no_contributions(cli):
    ran = cli("inspect", "layers", "minilm", "Hello")
    assert ran.code == 1 and "minilm has no head over its vocabulary" in ran.err
    ran = cli("inspect", "layers", "minilm", "Hello", "--view", "contributions")
    assert ran.code == 1 and "post-norm" in ran.err
