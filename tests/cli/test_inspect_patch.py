"""`isinglass inspect patch` and `isinglass inspect attribute`."""

from __future__ import annotations

import pytest

from isinglass.inspection import patching


def test_a_map_for_people_and_for_machines(cli, byte_folder, tmp_path):
    ran = cli("inspect", "patch", byte_folder, "the cat", "the dog", "--answer", "s", "--other", "x", "--save", tmp_path / "map.png")
    assert ran.code == 0, ran.err
    assert "What clean resid_pre does to the corrupted run" in ran.out and "(effect 1)" in ran.out
    assert "--answer s --other x --what resid_pre --method exact" in ran.out  # the command that makes it again
    assert "patching 14 cells" in ran.err and (tmp_path / "map.png").stat().st_size > 1000
    data = cli("inspect", "patch", byte_folder, "the cat", "the dog", "--answer", "s", "--what", "heads", "--method", "both", "--json").json
    assert data["exact"]["what"] == "attention.z" and len(data["exact"]["effects"]) == 2
    assert -1 <= data["correlation"] <= 1
    reverse = cli("inspect", "patch", byte_folder, "the cat", "the dog", "--method", "attribution", "--reverse", "--json").json
    assert reverse["direction"] == "noise" and reverse["method"] == "attribution"


def test_ctrl_c_keeps_what_is_done(cli, byte_folder, monkeypatch):
    whole = patching.patching

    def stopped(given):
        events = whole(given, tokens=1)
        for _ in range(3):
            yield next(events)
        raise KeyboardInterrupt

    monkeypatch.setattr(patching, "patching", stopped)
    ran = cli("inspect", "patch", byte_folder, "the cat", "the dog", "--answer", "s", "--json")
    assert ran.code == 130
    assert [value is None for value in ran.json["values"][0]] == [False] * 4 + [True, False, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("the cat", "the cat"), "have the same tokens"),
        (("the cat", "the cats"), "the clean text has 7 tokens, the corrupted one 8"),
        (("the cat", "the dog", "--answer", "no"), "the answer 'no' is 2 tokens, expected one"),
        (("the cat", "the dog", "--method", "guess"), "unknown method 'guess' in --method"),
        (("the cat", "the dog", "--what", "reside"), "unknown place to patch 'reside'"),
    ],
)
def test_bad_input_is_one_clear_error(cli, byte_folder, arguments, message):
    ran = cli("inspect", "patch", byte_folder, *arguments)
    assert ran.code in (1, 2) and message in ran.err and "Traceback" not in ran.err


def test_attribution_of_tokens(cli, byte_folder):
    ran = cli("inspect", "attribute", byte_folder, "the cat", "--answer", "s", "--baseline", "the dog")
    assert ran.code == 0, ran.err
    assert "Which tokens make the logit of 's'" in ran.out and "from 'the dog'" in ran.out
    data = cli("inspect", "attribute", byte_folder, "the cat", "--method", "gradient", "--json").json
    assert len(data["tokens"]) == 7 and data["completeness_error"] is None
