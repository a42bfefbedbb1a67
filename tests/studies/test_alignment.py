"""The alignment study: what it counts, what it holds out, and that its table is made from what the policies wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from isinglass.core.errors import DataError
from isinglass.data.records import Record
from isinglass.studies.alignment import Aligned, Begun, Effort, aligning, archaic_words, beginner
from isinglass.training.events import Started, StepDone

VERSES = [
    Record({"reference": f"Book {n}:1", "kjv": f"Thou hast {n} sheep, and he cometh", "web": f"You have {n} sheep and he comes"}, str(n))
    for n in range(40)
]
EFFORT = Effort(supervised=3, reward=12, dpo=3, ppo=2, batch_size=8, max_tokens=10, verses=8)


@pytest.fixture(scope="module")
def events() -> list[object]:
    return list(aligning(beginner(VERSES, model="tiny(context_length=48)", vocab_size=300), VERSES, EFFORT))


def test_stages_and_what_is_held_out(events: list[object]) -> None:
    assert [event.stage for event in events if isinstance(event, Begun)] == ["supervised", "reward", "dpo", "ppo", "comparison"]
    steps = [event for event in events if isinstance(event, StepDone)]
    assert len(steps) == 3 + 12 + 3 + 2
    assert [event.n_examples for event in events if isinstance(event, Started)][1:] == [32, 32, 32]
    assert steps[15].loss == pytest.approx(0.693147, abs=1e-4)  # the first step of dpo


def test_the_comparison(events: list[object]) -> None:
    result = events[-1]
    assert isinstance(result, Aligned)
    rows = {row["policy"]: row for row in result.table.rows}
    assert list(rows) == ["supervised", "dpo", "ppo", "kjv (translation)", "web (translation)"]
    first = rows["supervised"]
    assert (first["KL (k3)"], first["KL (k1)"], first["wins by reward"]) == (0.0, 0.0, None)
    assert rows["ppo"]["KL (k3)"] > 0
    assert rows["kjv (translation)"]["archaic words"] == 3.0  # Thou, hast, cometh
    assert rows["web (translation)"]["archaic words"] == 0.0
    assert rows["web (translation)"]["words"] == 7.0
    assert rows["web (translation)"]["reward"] > rows["kjv (translation)"]["reward"]
    assert rows["web (translation)"]["wins by words"] >= 0.5
    assert len(result.verses.rows) == 6
    assert set(result.figures) == {"supervised", "reward", "dpo", "ppo"}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Thou shalt not kill.", 2),
        ("He that believeth on him that sent me hath life", 2),
        ("Jesus of Nazareth wept; his teeth were white", 0),
        ("Beth and Seth came unto thee", 2),
        ("You shall not murder.", 0),
    ],
)
def test_archaic_words(text: str, count: int) -> None:
    assert archaic_words(text) == count


def test_too_few_verses() -> None:
    with pytest.raises(DataError, match="40 verses, 30 of them to be compared: expected at least 60"):
        next(aligning(beginner(VERSES, vocab_size=300), VERSES, Effort(verses=30)))


def test_the_study_writes_its_comparison(tmp_path: Path) -> None:
    from isinglass.studies.study import study

    study("alignment", out=tmp_path, quick=True)
    readme = (tmp_path / "README.md").read_text("utf-8")
    assert all(word in readme for word in ("supervised", "**dpo**", "**ppo**", "kjv (translation)"))
    assert {path.stem for path in (tmp_path / "figures").glob("*.svg")} == {"supervised", "reward", "dpo", "ppo"}
