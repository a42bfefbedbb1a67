"""What each verb shows, on models of every kind; and that what it offers to copy makes the same."""

import base64
import json
import shlex

import numpy as np
import pytest
import torch

import isinglass as ig
from helpers.lab import tiny_folder
from isinglass.cli.main import main
from isinglass.core.errors import ConfigError, EngineError, IsinglassError
from isinglass.generation.lm import LM
from isinglass.inspection.normalizations import NORMALIZATIONS
from isinglass.show.finding import Finding
from isinglass.web import files
from isinglass.web.bench import Bench
from isinglass.web.events import Shown
from isinglass.web.verb import request

EVIL = "</script><img src=x onerror=window.broken=1>"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = tmp_path_factory.mktemp("models")
    t5 = ig.tokenizer("t5")
    return {
        "decoder": tiny_folder(made / "decoder"),
        "grouped": tiny_folder(made / "grouped", attention={"n_kv_heads": 2, "position": "rotary"}),
        "encoder": tiny_folder(
            made / "encoder", "bert(n_layers=1, d_model=32, n_heads=4, heads=['masked_lm'])", tokenizer="bert-base-uncased"
        ),
        "both": tiny_folder(made / "both", "t5(n_layers=1, d_model=32, n_heads=4, d_head=8, d_ff=64)", tokenizer=t5),
    }


@pytest.fixture(scope="module")
def bench():
    return Bench()


def shown(bench, name, **arguments):
    """What a verb shows, by slot."""
    return {event.slot: event.message() for event in request(name, arguments).run(bench) if isinstance(event, Shown)}


def test_tokens_shows_every_vocabulary_with_its_counts(bench, folders):
    found = shown(bench, "tokens", text="naïve\n" + EVIL, model=folders["decoder"], vocabularies="gpt2, bert-base-uncased")["result"]
    assert [part["title"] for part in found["parts"]] == ["The text through 3 vocabularies", "How many tokens it takes"]
    chips = found["parts"][0]["html"]
    assert "<img" not in chips and "&lt;" in chips
    assert set(found["data"]) == {folders["decoder"], "gpt2", "bert-base-uncased"}
    assert b"".join(bytes.fromhex(one["bytes"]) for one in found["data"]["gpt2"]).decode() == "naïve\n" + EVIL
    assert found["data"]["gpt2"][0]["characters"] == "0 to 2"


def test_tokens_of_a_very_long_text_shows_its_beginning_and_counts_all(bench, folders):
    found = shown(bench, "tokens", text="word " * 20_000, model=folders["decoder"], vocabularies="gpt2")["result"]
    assert len(found["data"]["gpt2"]) == 500
    assert "the first 500 tokens of each" in found["parts"][0]["html"] and "100,000" in found["parts"][1]["html"]
    assert sum(len(part["html"]) for part in found["parts"]) < 1_000_000


def test_predict_gives_all_logits_so_that_no_temperature_is_wrong(bench, folders):
    found = shown(bench, "predict", text="abc", model=folders["decoder"], temperature=0.5, normalizations="sparsemax,argmax")
    logits = np.frombuffer(base64.b64decode(found["next"]["data"]["logits"]), "<f4")
    expected = ig.trace(ig.load(folders["decoder"]), "abc").logits[0, -1].sort(descending=True).values
    assert torch.equal(torch.tensor(logits), expected)
    assert list(found) == ["next", "normalized", "surprisal"]
    assert "sparsemax" in found["normalized"]["parts"][0]["html"] and "surprising" in found["surprisal"]["parts"][0]["title"]


def test_predict_of_an_encoder_answers_at_its_mask_and_says_what_it_has_not(bench, folders):
    with pytest.raises(IsinglassError, match="mask"):
        shown(bench, "predict", text="no mask here", model=folders["encoder"])
    found = shown(bench, "predict", text="a [MASK] b", model=folders["encoder"])
    assert found["surprisal"]["parts"] == [] and "encoder sees the whole text" in found["surprisal"]["data"]["note"]


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("decoder", {}),
        ("grouped", {}),
        ("encoder", {}),
        ("both", {}),
        ("both", {"which": "encoder"}),
        ("both", {"which": "cross", "target": "so it is"}),
    ],
)
def test_attention_of_every_kind_of_model(bench, folders, kind, more):
    found = shown(bench, "attention", text="a text of words", model=folders[kind], **more)["result"]
    first = found["parts"][0]
    assert ("attention_grid" in first["needs"]) != (more.get("which") == "cross")
    row = shown(bench, "attention_row", text="a text of words", model=folders[kind], layer=0, head=1, query=0, key=0, **more)["result"]
    assert row["data"]["sum"] == pytest.approx(1, abs=1e-6) and row["data"]["strongest"][0]["weight"] >= row["data"]["weight"]


def test_attention_too_long_for_a_picture_is_refused_before_any_work(bench, folders, monkeypatch):
    monkeypatch.setattr("isinglass.inspection.reading.Reading.run", lambda *_: pytest.fail("the model ran"))
    with pytest.raises(EngineError, match="the text has 600 tokens; a picture of this attention shows up to 512"):
        shown(bench, "attention", text="x" * 600, model=tiny_folder_of_long_context(folders))


def tiny_folder_of_long_context(folders):
    if "long" not in folders:
        from pathlib import Path

        folders["long"] = tiny_folder(Path(folders["decoder"]).with_name("long"), "tiny(context_length=1024)")
    return folders["long"]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("tokens", {"text": ""}, "the text is empty"),
        ("tokens", {"text": "a", "vocabularies": "gpt3"}, "unknown tokenizer 'gpt3'"),
        ("predict", {"text": "x" * 100_000}, "prompt 0 has 100000 tokens; the model's context holds"),
        ("predict", {"text": ""}, "prompt 0 is empty"),
        ("predict", {"text": "a", "top": 0}, "top = 0, expected at least 1"),
        ("predict", {"text": "a", "temperature": -1}, "temperature = -1.0, expected a number >= 0"),
        ("predict", {"text": "a", "normalizations": "softmin"}, "unknown normalization 'softmin'"),
        ("attention", {"text": "a", "layer": 9}, "layer 9 does not exist"),
        ("attention", {"text": "a", "which": "cross"}, "unknown kind of attention 'cross'"),
        ("attention", {"text": "a", "target": "b"}, "target was given, but this model writes no second text"),
        ("attention_row", {"text": "never shown", "layer": 0, "head": 0, "query": 0, "key": 0}, "this picture is no longer kept"),
    ],
)
def test_bad_input_gets_one_clear_error(bench, folders, name, arguments, message):
    with pytest.raises(IsinglassError) as caught:
        shown(bench, name, model=folders["decoder"], **arguments)
    assert caught.value.message.startswith(message)


def test_a_model_that_is_not_there_is_named(bench):
    with pytest.raises(IsinglassError, match=r"no file or folder '\./nothing'"):
        shown(bench, "model", model="./nothing")
    with pytest.raises(ConfigError, match=r"model\.model is missing"):
        request("model", {})


def test_model_says_what_the_bar_shows(bench, folders):
    facts = shown(bench, "model", model=folders["grouped"])["result"]["data"]
    lm = ig.load(folders["grouped"])
    assert (facts["kv_heads"], facts["layers"], facts["parameters"]) == (
        2,
        lm.config.n_layers,
        sum(p.numel() for p in lm.model.parameters()),
    )


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("tokens", {"vocabularies": "gpt2"}),
        ("predict", {"temperature": 0.5, "normalizations": "l1"}),
        ("attention", {"layer": 1, "head": 2}),
        ("model", {}),
    ],
)
def test_what_is_copied_runs(bench, folders, name, more, capsys):
    given = {"model": folders["decoder"], **({"text": 'it\'s "so"'} if name != "model" else {}), **more}
    verb = request(name, given)
    lines = verb.python.splitlines()
    scope = {}
    exec("\n".join([*lines[:-1], f"found = {lines[-1].partition(' = ')[2] if name == 'model' else lines[-1]}"]), scope)
    assert isinstance(scope["found"], Finding | LM) or hasattr(scope["found"], "rows")
    assert main([*shlex.split(verb.command)[1:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_the_page_offers_the_normalisations_there_are():
    page = files.modules()["pages/predict.js"]
    assert all(f'"{name}"' in page for name in set(NORMALIZATIONS) - {"softmax"})


@pytest.mark.parametrize("verb", ["predict", "attention", "heads", "layers", "patch", "ablate", "steer", "generate"])
@pytest.mark.parametrize(
    ("text", "message"),
    [("", "is empty"), ("a" * 100_000, "tokens; the model's context holds 256"), ("b" * 257, "tokens; the model's context holds 256")],
    ids=["empty", "100,000 characters", "longer than the context"],
)
def test_every_page_says_what_is_wrong_with_a_text(bench, folders, verb, text, message):
    more = {"corrupted": "b"} if verb == "patch" else {}
    with pytest.raises(IsinglassError) as caught:
        for event in request(verb, {"model": folders["decoder"], "text": text, **more}).run(bench):
            event.message()
    assert message in str(caught.value) and len(str(caught.value)) < 2000
