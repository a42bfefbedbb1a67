"""The book's numbers: published values typed from the public record, beside what the run finds."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from isinglass.cli.main import main
from isinglass.core.errors import ConfigError, DataError
from isinglass.studies.book_numbers.number import Checked, Number, check, checking, equal, shown, topics
from isinglass.studies.book_numbers.topics import untrained

DATA = Path(__file__).parents[3] / "shared" / "facts" / "data"
REPOSITORY = Path(__file__).parents[2]
DIFFERS = {
    "the same by our own draw, seed 123": "[51 1 0 588 4 0 1 353 2]",
    "ids of three texts in a batch": "[[0 1 2 3 4] [5 6 0 0 0] [7 8 9 0 0]]",
}
EQUAL = {
    "GPT-2 124M, untied head, parameters": "163,009,536",
    "GPT-2 1558M, tied head, parameters": "1,557,380,800",
    "GPT-2 1558M, untied head, in fp32, MB of 2^20 bytes": "6,247.68",
    "mean gradient of the first of five layers, without shortcuts": "0.000202",
    "mean gradient of the first of five layers, with shortcuts": "0.2217",
    "context vector of the second word, no weights trained": "[0.4419 0.6515 0.5683]",
    "multi-head attention, two heads, causal, seed 123: the first two words": "[[0.3190 0.4858] [0.2943 0.3897]]",
    "share of it that 8 key-value heads save": "0.75",
    "probability of pizza at temperature 5": "0.0430",
    "LoRA of rank 16 on it, parameters trained": "2,666,528",
    "LoRA of rank 16 on GPT-2 355M, parameters trained": "7,898,384",
    "DPO before the first step: loss, margin of rewards": "[0.693147 0.000000]",
}
WITH_DATA = {
    "the-verdict.txt: characters": "20,479",
    "the-verdict.txt: words and signs": "4,690",
    "the-verdict.txt: different ones": "1,130",
    "the-verdict.txt: different ones, with two special tokens": "1,132",
    "the-verdict.txt: GPT-2 tokens": "5,145",
    "the-verdict.txt: what our merges write for the published ids of a sentence": "Jack embraced beauty through art and life.",
    "of them spam": "747",
    "messages once both classes are as many": "1,494",
    "instructions to learn from, to validate and to test with": "[935 55 110]",
}
DIFFERS_WITH_DATA = {
    "the-verdict.txt: merges of a BPE with 1,000 tokens": "743",
    "SMS messages": "5,574",
}


@pytest.fixture(scope="module")
def found() -> dict[str, Checked]:
    checked = list(checking())
    assert len({one.number.what for one in checked}) == len(checked)
    return {one.number.what: one for one in checked}


@pytest.fixture(scope="module")
def found_with_data() -> dict[str, Checked]:
    if not DATA.is_dir():
        pytest.skip(f"the user's own files are not at {DATA}")
    return {one.number.what: one for one in checking(["text", "tuning"], DATA)}


@pytest.mark.parametrize("what", EQUAL)
def test_numbers_that_are_reproduced(found: dict[str, Checked], what: str) -> None:
    row = found[what].row()
    assert (row["verdict"], row["theirs"], row["ours"]) == ("equal", EQUAL[what], EQUAL[what])


@pytest.mark.parametrize("what", DIFFERS)
def test_numbers_that_differ_stand_beside_the_reason(found: dict[str, Checked], what: str) -> None:
    row = found[what].row()
    assert (row["verdict"], row["ours"]) == ("differs", DIFFERS[what])
    assert row["note"]


def test_without_files_everything_else_is_equal_or_open(found: dict[str, Checked]) -> None:
    assert {what for what, one in found.items() if one.verdict == "differs"} == set(DIFFERS)
    for one in found.values():
        assert (one.verdict == "needs data") == bool(one.number.file)
    assert found["SMS messages"].row()["ours"] == "--data with sms_spam.tsv"


@pytest.mark.parametrize("what", WITH_DATA)
def test_numbers_of_the_users_files(found_with_data: dict[str, Checked], what: str) -> None:
    row = found_with_data[what].row()
    assert (row["verdict"], row["ours"]) == ("equal", WITH_DATA[what])


@pytest.mark.parametrize("what", DIFFERS_WITH_DATA)
def test_numbers_of_the_users_files_that_differ(found_with_data: dict[str, Checked], what: str) -> None:
    row = found_with_data[what].row()
    assert (row["verdict"], row["ours"]) == ("differs", DIFFERS_WITH_DATA[what])


def test_every_difference_in_the_users_files_has_its_reason(found_with_data: dict[str, Checked]) -> None:
    differing = [one.number for one in found_with_data.values() if one.verdict == "differs"]
    assert all(number.note for number in differing)
    assert {"SMS messages", "the-verdict.txt: ids of that sentence"} <= {number.what for number in differing}


@pytest.mark.skipif(not DATA.is_dir(), reason="the-verdict.txt is the user's own file")
def test_the_loss_before_training_is_the_published_one() -> None:
    number = next(one for one in untrained.numbers() if "last 10 %" in one.what)
    checked = check("untrained", number, DATA)
    assert checked.verdict == "equal"
    assert checked.ours == pytest.approx(10.98111, abs=1e-5)


def test_every_command_runs_and_every_file_is_there(found: dict[str, Checked], capsys: pytest.CaptureFixture[str]) -> None:
    free = {one.number.shown_by for one in found.values() if not one.number.file}
    for shown_by in sorted(free | {one.number.shown_by for one in found.values() if one.number.shown_by.startswith("src/")}):
        if shown_by.startswith("src/"):
            assert (REPOSITORY / shown_by).is_file(), shown_by
        elif not shown_by.startswith("isinglass train "):
            assert main([*shlex.split(shown_by)[1:]]) == 0, shown_by
            assert capsys.readouterr().out.strip(), shown_by


@pytest.mark.parametrize(
    ("theirs", "ours", "digits", "same"),
    [
        (10.981, 10.98111, 3, True),
        (10.981, 10.9822, 3, False),
        (3, 4, 4, False),
        ([1, 2], [1], 0, False),
        ("a", "a", 0, True),
        (1, 1.0, 0, False),
    ],
)
def test_equal_means_all_published_decimals(theirs: object, ours: object, digits: int, same: bool) -> None:
    assert equal(theirs, ours, digits) is same  # type: ignore[arg-type]


def test_a_wrong_value_is_never_called_equal() -> None:
    number = Number(chapter="1", what="a count", theirs=3, measure=lambda: 4, shown_by="here")
    assert check("any", number, None).verdict == "differs"
    assert shown([1, [2.0]], 1) == "[1 [2.0]]"


def test_an_unknown_topic_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)unknown topic 'atention'.*did you mean 'attention'"):
        list(checking(["atention"]))
    with pytest.raises(DataError, match=r"(?s)no folder '.*nowhere'.*the-verdict.txt, sms_spam.tsv, instruction-data.json"):
        list(checking(["cache"], tmp_path / "nowhere"))


def test_topics_can_be_chosen() -> None:
    assert {one.topic for one in checking(["cache"])} == {"cache"}
    assert topics() == ["architecture", "attention", "cache", "sampling", "text", "tuning", "untrained"]
