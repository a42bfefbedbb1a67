"""Texts that cannot be looked into get one clear error from every view: empty, far too long, longer than the context."""

from __future__ import annotations

import pytest

LONG = "a" * 100_000
VIEWS = {
    "predict": [],
    "attention": [],
    "heads": [],
    "layers": [],
    "patch": ["b"],
    "ablate": [],
    "steer": ["--toward", "a b", "--away", "c d", "--layer", "0"],
    "attribute": [],
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    ("text", "message"),
    [("", "is empty"), (LONG, "tokens; the model's context holds 256"), ("b" * 257, "257 tokens; the model's context holds 256")],
    ids=["empty", "100,000 characters", "longer than the context"],
)
def test_every_view_says_what_is_wrong_with_a_text(cli, byte_folder, view, text, message):
    ran = cli("inspect", view, byte_folder, text, *VIEWS[view])
    assert ran.code == 1 and ran.out == "" and message in ran.err and "Traceback" not in ran.err
    assert len(ran.err) < 2000  # the text itself is not poured out


@pytest.mark.parametrize(("text", "message"), [("", "is empty"), (LONG, "tokens; the model's context holds 256")])
def test_so_do_compare_walk_and_diverge(cli, byte_folder, text, message):
    for verb in (["inspect", "compare", byte_folder, byte_folder], ["walk", byte_folder], ["diverge", byte_folder, byte_folder]):
        ran = cli(*verb, text)
        assert ran.code == 1 and ran.out == "" and message in ran.err and len(ran.err) < 2000, verb
