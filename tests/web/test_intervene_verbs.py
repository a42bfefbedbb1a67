"""Patch, ablate and steer: equal to what they are by definition, on models of every kind."""

import json
import shlex

import pytest
import torch

import isinglass as ig
from helpers.lab import tiny_folder
from isinglass.core.errors import IsinglassError
from isinglass.inspection.before_after import before_after
from isinglass.inspection.edits import Edit
from isinglass.inspection.patching import patch
from isinglass.inspection.steering import direction, steer
from isinglass.show.finding import Finding
from isinglass.web.bench import Bench
from isinglass.web.events import Shown
from isinglass.web.verb import request

TEXTS = {"decoder": ("abcd", "abxd"), "encoder": ("the [MASK] cat", "the [MASK] dog"), "both": ("a cat", "a dog")}
EVIL = "</script><img src=x onerror=window.broken=1>"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = tmp_path_factory.mktemp("models")
    return {
        "decoder": tiny_folder(made / "decoder", attention={"n_kv_heads": 2}),
        "encoder": tiny_folder(
            made / "encoder", "bert(n_layers=1, d_model=32, n_heads=4, heads=['masked_lm'])", tokenizer="bert-base-uncased"
        ),
        "both": tiny_folder(made / "both", "t5(n_layers=1, d_model=32, n_heads=4, d_head=8, d_ff=64)", tokenizer=ig.tokenizer("t5")),
    }


@pytest.fixture(scope="module")
def bench():
    return Bench()


def events(bench, name, **arguments):
    """All that a verb shows, as messages."""
    return [event.message() for event in request(name, arguments).run(bench) if isinstance(event, Shown)]


@pytest.mark.parametrize(("what", "tap"), [("resid_pre", "resid_pre"), ("heads", "attention.z")])
def test_a_patch_map_fills_in_with_the_estimate_first_and_ends_as_the_exact_one(bench, folders, what, tap):
    clean, corrupted = TEXTS["decoder"]
    found = events(bench, "patch", model=folders["decoder"], text=clean, corrupted=corrupted, answer="z", what=what)
    expected = patch(ig.load(folders["decoder"]), clean, corrupted, answer="z", what=tap, method="both")
    slots = [each["slot"] for each in found]
    assert slots[:3] == ["map", "estimate", "cells"] and slots[-1] == "result"
    assert torch.allclose(torch.tensor(found[1]["data"]["effects"]), expected.estimate.effects.float(), atol=1e-5)
    parts = [each["data"] for each in found if each["slot"] == "cells"]
    filled = {(layer, column): effect for each in parts for layer, column, effect, _ in each["cells"]}
    assert [filled[n, c] for n in range(2) for c in range(4)] == pytest.approx(expected.exact.effects.flatten().tolist(), abs=1e-6)
    assert parts[-1]["done"] == parts[-1]["total"] == 8 and [each["done"] for each in parts] == sorted(each["done"] for each in parts)
    assert len(found[-1]["parts"]) == 2


@pytest.mark.parametrize("kind", TEXTS)
def test_every_kind_of_model_can_be_changed(bench, folders, kind):
    clean, corrupted = TEXTS[kind]
    given = {"model": folders[kind], "text": clean}
    assert events(bench, "patch", **given, corrupted=corrupted)[-1]["slot"] == "result"
    assert [each["slot"] for each in events(bench, "ablate", **given, cut="0.1,0.2")] == ["heads", "result"]
    slots = {each["slot"]: each for each in events(bench, "steer", **given, toward="love", away="hate")}
    assert set(slots) == {"next", "continuation"}
    assert (slots["continuation"]["data"] is not None) == (kind == "encoder")


def test_without_a_corrupted_prompt_it_says_what_is_needed(bench, folders):
    assert [each["data"] for each in events(bench, "patch", model=folders["decoder"], text="abc")] == [{"tokens": 3}]


def test_cutting_a_head_is_one_edit_of_its_output(folders):
    seen = ig.trace(ig.load(folders["decoder"]), "abc")
    changed = seen.edit("layers.1.attention.z", head=3, set_to=0)
    found = before_after(seen, changed, top=5)
    assert torch.equal(found.after, changed.logits[0, -1].double().softmax(-1)) and torch.equal(
        found.before, seen.logits[0, -1].double().softmax(-1)
    )
    p, q = found.before, found.after
    assert found.divergence == pytest.approx(float(torch.nn.functional.kl_div(q.log(), p, reduction="sum")), rel=1e-9)
    assert found.edits == ("Edit(layers.1.attention.z, head 3, set_to 0)",)
    assert before_after(seen, seen).divergence == 0
    assert set(found.before.topk(5).indices.tolist()) | set(found.after.topk(5).indices.tolist()) == set(found.ids)


def test_steering_adds_the_difference_at_every_position_of_every_pass(folders):
    lm = ig.load(folders["decoder"])
    found = steer(lm, "abc", toward="love", away="hate", layer=0, strength=3.0, length=4)
    one, other = (ig.trace(lm, each)["layers.0.resid_post"][0, -1] for each in ("love", "hate"))
    ids = lm.encode("abc")
    for _ in range(4):
        ids = [*ids, int(ig.trace(lm, ids, edits=[Edit(name="layers.0.resid_post", add=3.0 * (one - other))]).logits[0, -1].argmax())]
    assert found.after == lm.tokenizer.decode(ids[3:])
    assert found.before == lm.tokenizer.decode(_greedy(lm, "abc", 4))
    assert steer(lm, "abc", toward="love", away="hate", layer=0, strength=0.0, length=4).after == found.before
    assert torch.equal(direction(lm, "love", "hate", 0).vector, one - other)


def _greedy(lm, text, count):
    ids = lm.encode(text)
    for _ in range(count):
        ids = [*ids, int(ig.trace(lm, ids).logits[0, -1].argmax())]
    return ids[-count:]


def test_the_context_ends_a_continuation(tmp_path):
    lm = ig.create("tiny(context_length=8)")
    found = steer(lm, "abcdef", toward="a", away="b", layer=1)
    assert len(found.before) <= 12 and len(lm.encode(found.before)) <= 3 and found.data["continuations"]["after"] == found.after


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("patch", {"corrupted": "abcde"}, "the clean text has 4 tokens, the corrupted one 5"),
        ("patch", {"corrupted": "abcd"}, "the clean and the corrupted text have the same tokens"),
        ("patch", {"corrupted": "abxd", "answer": "too long"}, "the answer 'too long' is 8 tokens"),
        ("patch", {"corrupted": "abxd", "what": "nothing"}, "unknown place to patch 'nothing'"),
        ("ablate", {"cut": "one"}, "head 'one', expected LAYER.HEAD"),
        ("ablate", {"cut": "7.0"}, "layer 7 does not exist"),
        ("ablate", {"cut": "0.9"}, "head 9 does not exist"),
        ("ablate", {"text": ""}, "prompt 0 is empty"),
        ("ablate", {"top": 0}, "top = 0, expected at least 1"),
        ("steer", {"toward": ""}, "the prompt to steer toward is empty"),
        ("steer", {"toward": "a", "away": "a"}, "both prompts leave the same state"),
        ("steer", {"layer": 5}, "layer 5 does not exist"),
    ],
)
def test_bad_input_gets_one_clear_error(bench, folders, name, arguments, message):
    with pytest.raises(IsinglassError) as caught:
        request(name, given := {"text": "abcd", "model": folders["decoder"], **arguments}).python  # noqa: B018 - may refuse
        events(bench, name, **given)
    assert caught.value.message.startswith(message)


def test_two_traces_of_different_texts_are_refused():
    lm = ig.create("tiny")
    with pytest.raises(IsinglassError, match="the two traces are of different texts"):
        before_after(ig.trace(lm, "abc"), ig.trace(lm, "abd"))


def test_hostile_text_stays_text(bench, folders):
    html = "".join(
        part["html"] for each in events(bench, "steer", model=folders["decoder"], text=EVIL, toward="a", away="b") for part in each["parts"]
    )
    assert "<img" not in html and "window.broken=1" in html


@pytest.mark.parametrize(
    ("name", "more"), [("patch", {"corrupted": "ab'd", "what": "heads"}), ("ablate", {"cut": "0.1,1.2"}), ("steer", {})]
)
def test_what_is_copied_as_python_runs(folders, name, more):
    verb = request(name, {"model": folders["decoder"], "text": 'ab"d', **more})
    *lines, last = verb.python.splitlines()
    scope = {}
    exec("\n".join([*lines, f"found = {last}"]), scope)
    assert isinstance(scope["found"], Finding)


def test_what_is_copied_as_a_command_makes_the_same(folders, capsys):
    from isinglass.cli.main import main

    verb = request(
        "patch", {"model": folders["decoder"], "text": 'ab"d', "corrupted": "ab'd", "answer": "z", "other": " ", "direction": "noise"}
    )
    assert main([*shlex.split(verb.command)[1:], "--json"]) == 0
    assert '"direction": "noise"' in capsys.readouterr().out


@pytest.mark.parametrize(("name", "more"), [("ablate", {"cut": "0.1,1.2"}), ("steer", {"strength": -1.5, "away": "-x"})])
def test_what_is_copied_as_a_command_gives_what_is_shown(bench, folders, capsys, name, more):
    from isinglass.cli.main import main

    verb = request(name, {"model": folders["decoder"], "text": 'ab"d', **more})
    shown = next(event.parts for event in verb.run(bench) if getattr(event, "parts", ()))
    assert main([*shlex.split(verb.command)[1:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["predictions"] == json.loads(json.dumps(shown[1].rows))
