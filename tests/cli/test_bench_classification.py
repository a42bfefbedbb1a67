"""`isinglass bench classification`."""

from __future__ import annotations

from pathlib import Path

import pytest

from isinglass.generation.lm import create, export


@pytest.fixture
def asked(tmp_path: Path) -> list[object]:
    """The command over a file as UCI has it, and a tiny model."""
    rows = [f"ham\tsee you at {n}\n" for n in range(30)] + [f"spam\tWIN {n} now!\n" for n in range(20)]
    (tmp_path / "SMSSpamCollection").write_text("".join(rows), encoding="utf-8")
    model = export(create("tiny(n_layers=2)", seed=1), tmp_path / "model", format="isinglass")
    return ["bench", "classification", model, "--file", tmp_path / "SMSSpamCollection", "--reuse-texts", 0]


def test_every_run_and_what_reuse_saves(cli, asked):
    ran = cli(*asked[:-1], 20, "--seeds", 1, "--plans", "head,last_block", "--json", "--quiet")
    assert ran.code == 0, ran.err
    assert [run["plan"] for run in ran.json["runs"]] == ["head", "last_block"]
    assert ran.json["reuse"][0]["largest difference of a loss"] < 1e-5
    assert ran.err == ""


def test_people_see_a_table_and_the_progress(cli, asked, tmp_path):
    ran = cli(*asked, "--seeds", 1, "--plans", "head", "--texts", 12, "--save", tmp_path / "ways.html")
    assert ran.code == 0, ran.err
    assert "24 texts" in ran.err and "head, seed 0: test" in ran.err
    assert "Ways to fine-tune a classifier" in ran.out and "TF-IDF" in ran.out
    assert "Every run" in (tmp_path / "ways.html").read_text("utf-8")


def test_an_unknown_plan(cli, asked):
    ran = cli(*asked, "--plans", "last_blok")
    assert ran.code != 0
    assert "unknown plan 'last_blok' in --plans" in ran.err and "did you mean 'last_block'?" in ran.err


def test_a_run_that_is_done_is_kept_and_not_done_again(cli, asked, tmp_path, monkeypatch):
    out = tmp_path / "ways"
    first = cli(*asked, "--plans", "head", "--seeds", 1, "--out", out, "--json")
    assert first.code == 0 and "1 of 1 runs to do" in first.err, first.err
    assert sorted(path.name for path in out.iterdir()) == ["comparison.json", "head, 10 epochs, seed 0.json"]
    again = cli(*asked, "--plans", "head,last_block", "--epochs", "last_block=1", "--seeds", 1, "--out", out, "--json")
    assert "1 of 2 runs to do" in again.err and "head, seed 0" not in again.err
    assert [(run["plan"], run["epochs"]) for run in again.json["runs"]] == [("head", 10), ("last_block", 1)]
    assert again.json["runs"][0] == first.json["runs"][0] and again.json["missing"] == []
    # nothing is left to do: the table comes from the folder alone
    monkeypatch.setattr("isinglass.evaluation.classification_sweep._run", None)
    shown = cli(*asked, "--plans", "head", "--seeds", 1, "--out", out)
    assert shown.code == 0 and "0 of 1 runs to do" in shown.err and "last_block" in shown.out and "majority" in shown.out


def test_ctrl_c_keeps_what_is_done_and_says_what_is_missing(cli, asked, tmp_path, monkeypatch):
    from isinglass.evaluation import classification_sweep

    run, calls = classification_sweep._run, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run(*arguments)

    monkeypatch.setattr(classification_sweep, "_run", interrupted)
    ran = cli(*asked, "--plans", "head", "--seeds", 3, "--epochs", 1, "--out", tmp_path / "ways")
    assert ran.code == 130 and ran.err.endswith("stopped\n")
    assert "missing: head, 1 epochs, seed 1; head, 1 epochs, seed 2" in " ".join(ran.out.split())
    assert (tmp_path / "ways" / "head, 1 epochs, seed 0.json").is_file()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--epochs", "none"], "--epochs: 'none' is no number above 0"),
        (["--epochs", "head=0"], "--epochs: '0' is no number above 0"),
        (["--epochs", "heat=2"], "unknown plan 'heat' in --epochs"),
    ],
)
def test_epochs_that_cannot_be(cli, asked, given, told):
    ran = cli(*asked, "--plans", "head", *given)
    assert ran.code == 2 and told in ran.err


def test_products_in_half_the_bits_are_said(cli, asked):
    ran = cli(*asked, "--plans", "head", "--epochs", 1, "--seeds", 1, "--precision", "bfloat16")
    assert ran.code == 0 and "trained in bfloat16" in " ".join(ran.out.split())


def test_a_folder_of_something_else_is_refused(cli, asked, tmp_path):
    out = tmp_path / "ways"
    assert cli(*asked, "--plans", "head", "--epochs", 1, "--seeds", 1, "--out", out).code == 0
    other = cli(*asked, "--plans", "head", "--texts", 12, "--out", out)
    assert other.code == 1 and "holds results of another comparison" in other.err and "texts was 40, is 24" in other.err
    coarse = cli(*asked, "--plans", "head", "--precision", "bfloat16", "--out", out)
    assert coarse.code == 1 and "precision was 'float32', is 'bfloat16'" in coarse.err
    (out / "head, 1 epochs, seed 0.json").write_text('{"plan": "head"}')
    assert "is of another version" in cli(*asked, "--plans", "head", "--out", out).err
    (out / "head, 1 epochs, seed 0.json").write_text("{")
    broken = cli(*asked, "--plans", "head", "--out", out)
    assert broken.code == 1 and "cannot read" in broken.err and "delete the file: it is made again" in broken.err
    (out / "head, 1 epochs, seed 0.json").write_text("[]")
    assert "holds list, expected an object" in cli(*asked, "--plans", "head", "--out", out).err
    assert "there are files in" in cli(*asked, "--plans", "head", "--out", tmp_path / "model").err
    assert "is a file, expected a folder" in cli(*asked, "--plans", "head", "--out", tmp_path / "SMSSpamCollection").err
