"""Windows, packing and the loader, by their promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isinglass.core.errors import ConfigError, DataError
from isinglass.data.loader import Loader
from isinglass.data.windows import Windows, packed


@given(st.integers(2, 200), st.integers(1, 20), st.integers(1, 25))
def test_windows_predict_every_token_and_repeat_no_more_than_they_must(n: int, length: int, stride: int) -> None:
    ids = np.arange(n)
    if n < length + 1:
        with pytest.raises(DataError, match="longer than the corpus"):
            Windows(ids, length, stride)
        return
    windows = [window.tolist() for window in Windows(ids, length, stride)]
    assert all(window == list(range(window[0], window[0] + length + 1)) for window in windows)
    starts = [window[0] for window in windows]
    assert starts == sorted(set(starts)) and starts[0] == 0 and windows[-1][-1] == n - 1
    assert all(later - earlier == stride for earlier, later in pairwise(starts[:-1]))
    if stride <= length:
        assert {target for window in windows for target in window[1:]} == set(range(1, n))


def test_the_windows_of_the_book() -> None:
    """Inputs, and the same shifted by one: context 4, stride 1, as in its chapter 2."""
    first, second = list(Windows(np.array([40, 367, 2885, 1464, 1807, 3619]), length=4, stride=1))
    assert (first[:-1].tolist(), first[1:].tolist()) == ([40, 367, 2885, 1464], [367, 2885, 1464, 1807])
    assert (second[:-1].tolist(), second[1:].tolist()) == ([367, 2885, 1464, 1807], [2885, 1464, 1807, 3619])


@given(st.lists(st.integers(1, 30), max_size=60), st.integers(30, 60))
def test_packing_loses_nothing_and_never_overflows(lengths: list[int], room: int) -> None:
    rows = packed(lengths, room)
    assert sorted(number for row in rows for number in row) == list(range(len(lengths)))
    assert all(0 < sum(lengths[number] for number in row) <= room for row in rows)
    fewest = -(-sum(lengths) // room)
    assert len(rows) <= 11 / 9 * fewest + 2 or len(rows) <= 2 * fewest  # first-fit decreasing; no two rows could be one


def test_a_text_that_fits_no_row_is_named() -> None:
    with pytest.raises(DataError, match="text 1 has 9 tokens, a row has room for 5"):
        packed([3, 9], room=5)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 3))
def test_every_epoch_has_every_example_once(n: int, batch_size: int, seed: int) -> None:
    loader = Loader(n, batch_size, seed)
    drawn = [draw for _ in range(-(-3 * n // batch_size)) for draw in loader.draw()]
    assert [draw.place for draw in drawn] == list(range(len(drawn)))
    for epoch in range(3):
        assert sorted(draw.example for draw in drawn[epoch * n : (epoch + 1) * n]) == list(range(n))


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 60))
def test_it_goes_on_where_it_was(n: int, batch_size: int, steps: int) -> None:
    one, other = Loader(n, batch_size, 7), Loader(n, batch_size, 7)
    for _ in range(steps):
        one.draw()
    other.drawn = one.drawn
    assert [one.draw() for _ in range(5)] == [other.draw() for _ in range(5)]


@settings(max_examples=30)
@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 4))
def test_processes_share_one_batch(n: int, world: int, each: int) -> None:
    alone = Loader(n, world * each, 1)
    ranks = [Loader(n, world * each, 1, rank=rank, world=world) for rank in range(world)]
    for _ in range(4):
        shares = [loader.draw() for loader in ranks]
        assert Counter(draw for share in shares for draw in share) == Counter(alone.draw())
        assert {len(share) for share in shares} == {each}


def test_epochs_differ_and_seeds_too() -> None:
    orders = [[draw.example for draw in Loader(50, 50, seed).draw()] for seed in range(3)]
    loader = Loader(50, 50, 0)
    orders += [[draw.example for draw in loader.draw()] for _ in range(3)][1:]
    assert len({tuple(order) for order in orders}) == 5


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 40))
def test_batches_of_like_length_are_the_same_examples(n: int, batch_size: int, steps: int) -> None:
    """Every epoch has every example once, and the order depends on what was drawn before in nothing but its number."""
    lengths = [7 * number % 13 + 1 for number in range(n)]
    loader, other = (Loader(n, batch_size, 3, lengths=lengths) for _ in range(2))
    drawn = [draw.example for _ in range(-(-3 * n // batch_size)) for draw in loader.draw()]
    for epoch in range(3):
        assert sorted(drawn[epoch * n : (epoch + 1) * n]) == list(range(n))
    other.drawn = loader.drawn = steps * batch_size
    assert other.draw() == loader.draw()


def test_batches_of_like_length_pad_less() -> None:
    lengths = [number * 37 % 101 + 1 for number in range(1000)]  # random enough: 37 is prime to 101

    def padded(**options: Sequence[int]) -> float:
        loader = Loader(1000, 16, 0, **options)  # type: ignore[arg-type]
        batches = [[lengths[draw.example] for draw in loader.draw()] for _ in range(62)]
        return 1 - sum(map(sum, batches)) / sum(16 * max(batch) for batch in batches)

    assert padded() > 0.4 and padded(lengths=lengths) < 0.05
    firsts = [Loader(1000, 16, seed, lengths=lengths).draw() for seed in range(4)]
    assert len({lengths[draws[0].example] for draws in firsts}) > 1  # not the shortest first


def test_what_a_loader_refuses() -> None:
    with pytest.raises(DataError, match="there is no example to learn from"):
        Loader(0, 1, 0)
    with pytest.raises(ConfigError, match=r"batch_size = 5 for 2 processes: expected a multiple of 2"):
        Loader(10, 5, 0, rank=0, world=2)
