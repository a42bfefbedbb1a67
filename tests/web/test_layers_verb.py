"""The views of the page Layers, on models of every kind; head statistics; and that what they offer to copy makes the same."""

import json
import shlex

import pytest

import isinglass as ig
from helpers.lab import tiny_folder
from isinglass.cli.main import main
from isinglass.core.errors import ConfigError, EngineError, IsinglassError
from isinglass.inspection.heads import COLUMNS, heads
from isinglass.show.finding import Finding
from isinglass.show.table import Table
from isinglass.web import files
from isinglass.web.bench import Bench
from isinglass.web.events import Shown, Working
from isinglass.web.verb import request

EVIL = "</script><img src=x onerror=window.broken=1>"
TEXT = "it's a text"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = tmp_path_factory.mktemp("models")
    bert = "bert(n_layers=1, d_model=32, n_heads=4{})"
    return {
        "decoder": tiny_folder(made / "decoder", attention={"n_kv_heads": 2}),
        "long": tiny_folder(made / "long", "tiny(context_length=256)"),
        "masked": tiny_folder(made / "masked", bert.format(", heads=['masked_lm']"), tokenizer="bert-base-uncased"),
        "headless": tiny_folder(made / "headless", bert.format(""), tokenizer="bert-base-uncased"),
        "both": tiny_folder(made / "both", "t5(n_layers=1, d_model=32, n_heads=4, d_head=8, d_ff=64)", tokenizer="t5"),
    }


@pytest.fixture(scope="module")
def bench():
    return Bench()


def result(bench, name, **arguments):
    """What a verb shows, as it is sent."""
    (found,) = [event for event in request(name, arguments).run(bench) if isinstance(event, Shown)]
    return found.message()


@pytest.mark.parametrize(
    ("kind", "view", "more", "title"),
    [
        ("decoder", "lens", {"token": "x", "against": "y", "position": 2, "after": "sublayer"}, "Logit lens: the token each layer finds"),
        ("decoder", "contributions", {"token": "x", "against": "y"}, "What each part adds to the logit of 'x' minus that of 'y'"),
        ("decoder", "similarity", {"skip": 1}, "Linear CKA between layers"),
        ("decoder", "norms", {"position": -1}, "How long the vectors are"),
        ("masked", "lens", {}, "Logit lens"),
        ("masked", "norms", {}, "How long the vectors are"),
        ("both", "lens", {"target": "so it is"}, "Logit lens"),
        ("both", "contributions", {"target": "so it is"}, "What each part adds to the logit"),
        ("both", "similarity", {"side": "encoder"}, "Linear CKA between layers"),
    ],
)
def test_every_view_of_every_kind_of_model(bench, folders, kind, view, more, title):
    text = "a [MASK] of words" if kind == "masked" else "a text of words"
    found = result(bench, "layers", text=text, model=folders[kind], view=view, **more)
    assert found["parts"][0]["title"].startswith(title)
    assert "vega" in found["parts"][0]["needs"] and "<table" in found["parts"][-1]["html"]


def test_the_tokens_on_offer_are_the_models_own_likeliest(bench, folders):
    data = result(bench, "layers", text="abc", model=folders["decoder"], position=1)["data"]
    seen = ig.trace(ig.load(folders["decoder"]), "abc")
    assert data["position"] == 1 and len(data["likeliest"]) == 10
    assert data["likeliest"][0] == seen.lens(position=1).data["watched"][0]["token"]


def test_text_stays_text(bench, folders):
    for view in ("lens", "contributions", "similarity", "norms"):
        found = result(bench, "layers", text=EVIL, model=folders["decoder"], view=view)
        assert not any("<img" in part["html"] for part in found["parts"])


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("decoder", {"text": ""}, "prompt 0 is empty"),
        ("long", {"text": "x" * 200}, "the text has 200 tokens; this map shows up to 128"),
        ("long", {"text": "x" * 100_000}, "prompt 0 has 100000 tokens; the model's context holds"),
        ("decoder", {"text": "a", "token": "two"}, "the answer 'two' is 3 tokens, expected one"),
        ("decoder", {"text": "a", "position": 7}, "position 7 does not exist"),
        ("decoder", {"text": "a", "view": "norms", "side": "encoder"}, "side = 'encoder', but this model is one stack"),
        ("decoder", {"text": "ab", "view": "similarity", "skip": 1}, "skip = 1 of 2 tokens"),
        ("decoder", {"text": "a", "target": "b"}, "target was given, but this model writes no second text"),
    ],
)
def test_bad_input_gets_one_clear_error(bench, folders, kind, arguments, message):
    with pytest.raises(IsinglassError) as caught:
        result(bench, "layers", model=folders[kind], **arguments)
    assert caught.value.message.startswith(message)


def test_what_a_kind_of_model_has_not_is_said(bench, folders):
    with pytest.raises(EngineError, match="has no head over its vocabulary, so its layers cannot be read as tokens"):
        result(bench, "layers", text="a b", model=folders["headless"])
    with pytest.raises(EngineError, match="normalises the sum after every part"):
        result(bench, "layers", text="a [MASK]", model=folders["masked"], view="contributions")
    with pytest.raises(ConfigError, match=r"layers\.view = 'lenses'"):
        request("layers", {"text": "a", "model": "m", "view": "lenses"})


def test_too_long_a_text_is_refused_before_any_work(bench, folders, monkeypatch):
    monkeypatch.setattr("isinglass.inspection.reading.Reading.run", lambda *_: pytest.fail("the model ran"))
    with pytest.raises(EngineError, match="shows up to 128"):
        result(bench, "layers", text="y" * 200, model=folders["long"], view="norms")


def test_head_statistics_tell_of_each_text_and_are_those_of_the_library(bench, folders):
    events = list(request("heads", {"text": "abcabcab", "model": folders["decoder"], "by": "entropy"}).run(bench))
    told = [(event.done, event.total) for event in events if isinstance(event, Working) and event.total]
    assert told == [(number, 5) for number in range(5)]
    expected = heads(ig.load(folders["decoder"]), "abcabcab", by="entropy")
    assert isinstance(events[-1], Shown)
    parts = events[-1].parts
    assert [part.title for part in parts] == [part.title for part in expected.parts]
    assert isinstance(parts[2], Table) and parts[2].rows == expected.table().rows


def test_head_statistics_of_a_text_that_holds_none_are_refused(bench, folders):
    with pytest.raises(EngineError, match="no query of these texts can tell 'induction_in_text'"):
        result(bench, "heads", text="abc", model=folders["decoder"], by="induction_in_text")
    with pytest.raises(ConfigError, match="unknown statistic 'inductive'"):
        result(bench, "heads", text="abc", model=folders["decoder"], by="inductive")


@pytest.mark.parametrize(
    ("kind", "name", "text", "more"),
    [
        ("decoder", "layers", TEXT, {"token": "-", "against": " ", "position": -2, "after": "sublayer"}),
        ("decoder", "layers", TEXT, {"view": "contributions", "token": "'"}),
        ("decoder", "layers", TEXT, {"view": "similarity", "skip": 2}),
        ("both", "layers", TEXT, {"view": "norms", "side": "encoder", "target": "it's"}),
        ("masked", "layers", "a [MASK] b", {}),
        ("decoder", "heads", TEXT, {"by": "entropy", "window": 2, "seed": 3}),
    ],
)
def test_what_is_copied_shows_the_same(bench, folders, kind, name, text, more, capsys):
    verb = request(name, {"text": text, "model": folders[kind], **more})
    *before, last = verb.python.splitlines()
    scope = {}
    exec("\n".join([*before, f"found = {last}"]), scope)
    assert isinstance(scope["found"], Finding)
    shown = next(event for event in verb.run(bench) if isinstance(event, Shown))
    assert [part.title for part in shown.parts] == [part.title for part in scope["found"].parts]
    assert main([*shlex.split(verb.command)[1:], "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {key: printed[key] for key in scope["found"].data} == json.loads(json.dumps(scope["found"].data))


def test_the_page_offers_the_statistics_there_are():
    assert all(f'"{name}"' in files.modules()["pages/attention.js"] for name in COLUMNS)
