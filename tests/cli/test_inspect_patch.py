"""`isinglass inspect patch`, `ablate`, `steer` and `attribute`."""

from __future__ import annotations

import pytest

from isinglass.inspection import ablation, patching


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


def test_a_map_of_what_heads_are_worth(cli, byte_folder, tmp_path):
    ran = cli("inspect", "ablate", byte_folder, "the cat", "--answer", "s", "--save", tmp_path / "map.svg")
    assert ran.code == 0 and "How much the logit of 's' falls when a head is replaced by zero" in ran.out
    assert "silencing 8 heads" in ran.err and (tmp_path / "map.svg").read_text().startswith("<svg")
    data = cli("inspect", "ablate", byte_folder, "the cat", "--answer", "s", "--other", "x", "--silence", "mean", "--json").json
    assert data["silence"] == "mean" and [len(row) for row in data["drops"]] == [4, 4]


def test_heads_are_cut_together(cli, byte_folder):
    ran = cli("inspect", "ablate", byte_folder, "the cat", "--cut", "0.1, 1.2", "--top", 3)
    assert ran.code == 0 and "What follows 'the cat', before and after" in ran.out
    assert "--cut0.1,1.2--top3" in "".join(ran.out.split())  # a long path folds anywhere
    data = cli("inspect", "ablate", byte_folder, "the cat", "--cut", "0.1,1.2", "--json").json
    assert data["divergence_nats"] > 0 and len(data["edits"]) == 2
    assert cli("inspect", "ablate", byte_folder, "the cat", "--cut", "", "--json").json["divergence_nats"] == 0


def test_ctrl_c_keeps_the_heads_that_are_done(cli, byte_folder, monkeypatch):
    whole = ablation.ablating

    def stopped(given):
        yield next(whole(given))
        raise KeyboardInterrupt

    monkeypatch.setattr(ablation, "ablating", stopped)
    ran = cli("inspect", "ablate", byte_folder, "the cat", "--answer", "s", "--json")
    assert ran.code == 130 and any(value is not None for row in ran.json["drops"] for value in row)


def test_steering(cli, byte_folder):
    given = ("inspect", "steer", byte_folder, "the cat", "--toward", "I love it", "--away", "I hate it", "--layer", "0")
    ran = cli(*given, "--strength=-3", "--length", 4)
    assert ran.code == 0 and "steered behind layer 0" in ran.out and "--strength=-3" in "".join(ran.out.split())
    data = cli(*given, "--json").json
    assert data["strength"] == 2 and data["divergence_nats"] > 0 and set(data["continuations"]) == {"before", "after"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ablate", "the cat", "--cut", "1"), "head '1', expected LAYER.HEAD"),
        (("ablate", "the cat", "--cut", "2.0"), "layer 2 does not exist"),
        (("ablate", "the cat", "--cut", "0.4"), "head 4 does not exist"),
        (("ablate", "the cat", "--cut", "0.1", "--answer", "s"), "belong to the map of all heads"),
        (("ablate", "the cat", "--silence", "none"), "unknown silence 'none' in --silence"),
        (("ablate", ""), "prompt 0 is empty"),
        (("steer", "a", "--toward", "b", "--away", "c", "--layer", "7"), "layer 7 does not exist"),
        (("steer", "a", "--toward", "b", "--away", "b", "--layer", "0"), "both prompts leave the same state"),
    ],
)
def test_what_ablate_and_steer_refuse(cli, byte_folder, arguments, message):
    verb, *rest = arguments
    ran = cli("inspect", verb, byte_folder, *rest)
    assert ran.code in (1, 2) and message in ran.err and ran.out == ""
