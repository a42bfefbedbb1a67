"""StopWatch: however a text is split, the same text comes out, and nothing of a stop string with it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isinglass.core.errors import EngineError
from isinglass.generation.stops import StopWatch

TEXT = st.text("abc", max_size=24)
STOPS = st.lists(st.text("abc", min_size=1, max_size=4), max_size=3)


def defined(text: str, stops: list[str]) -> tuple[str, bool]:
    """The definition: read character by character; the first stop string that is complete ends the text before it."""
    for end in range(1, len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))], True
    return text, False


@settings(deadline=None, max_examples=500)
@given(TEXT, STOPS, st.data())
def test_any_split_gives_the_same_text(text: str, stops: list[str], data: st.DataObject) -> None:
    watch, shown, left = StopWatch(stops), [], text
    wanted, hit = defined(text, stops)
    while left:
        length = data.draw(st.integers(0, len(left)))
        shown.append(watch.feed(left[:length]))
        assert wanted.startswith("".join(shown)), "a part of a stop string leaked"
        left = left[max(length, 0) :]
        if length == 0 and not data.draw(st.booleans()):
            shown.append(watch.feed(left))
            left = ""
    shown.append(watch.finish())
    assert "".join(shown) == wanted
    assert (watch.hit is not None) == hit
    assert not any(stop in "".join(shown) for stop in stops)


def test_nothing_is_held_back_without_need() -> None:
    watch = StopWatch(["</end>"])
    assert [watch.feed(part) for part in ("hello ", "<", "b>", "</en", "d", ">", "more")] == ["hello ", "", "<b>", "", "", "", ""]
    assert watch.hit == "</end>"
    assert watch.finish() == ""


def test_a_false_start_inside_a_false_start() -> None:
    watch = StopWatch(["aab"])
    assert [watch.feed(letter) for letter in "aaab"] == ["", "", "a", ""]
    assert watch.hit == "aab"


@pytest.mark.parametrize("stops", [[""], ["a", ""], [None]])
def test_an_empty_stop_string_is_refused(stops: list) -> None:
    with pytest.raises(EngineError, match=r"stop = .*: a stop string must not be empty"):
        StopWatch(stops)
