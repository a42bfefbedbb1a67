"""A mask's tiles, reach and causality agree with what it allows, for every mask and every way to join masks."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.variants import mask as build
from helpers.variants import mask_expressions
from isinglass.nn.attention.mask import Mask, Tile
from isinglass.nn.attention.masks.sliding_window import SlidingWindow
from isinglass.nn.attention.slots import Slots

SIMPLE = st.sampled_from([build(text) for text in mask_expressions()]) | st.integers(1, 12).map(SlidingWindow)
MASKS = st.recursive(SIMPLE, lambda inner: st.tuples(inner, inner).map(lambda p: p[0] & p[1]) | st.tuples(inner, inner).map(lambda p: p[0] | p[1])
                     | inner.map(lambda m: ~m), max_leaves=4)  # fmt: skip
RANGES = st.tuples(st.integers(0, 30), st.integers(1, 9)).map(lambda p: range(p[0], p[0] + p[1]))


def slots(places: range) -> Slots:
    return Slots(torch.tensor([list(places)]))


def allowed(mask: Mask, q: range, k: range) -> torch.Tensor:
    return mask.allow(slots(q), slots(k)).expand(1, len(q), len(k))[0]


@settings(deadline=None, max_examples=300)
@given(MASKS, RANGES, RANGES)
def test_tile_agrees_with_allow(mask: Mask, q: range, k: range) -> None:
    kind, matrix = mask.tile(q, k), allowed(mask, q, k)
    assert not (kind is Tile.EMPTY and matrix.any())
    assert not (kind is Tile.FULL and not matrix.all())


@settings(deadline=None, max_examples=200)
@given(MASKS, RANGES, RANGES, st.integers(0, 30), st.sampled_from([None, 2, 5]))
def test_tile_agrees_with_allow_whatever_the_rows_hold(mask: Mask, q: range, k: range, prefix: int, documents: int | None) -> None:
    """Prefixes and documents are told to `allow` alone, so what a tile promises must hold with any."""

    def dressed(places: range) -> Slots:
        position = torch.tensor([list(places)])
        return Slots(position, document=None if documents is None else position // documents, prefix_length=torch.tensor([prefix]))

    kind, matrix = mask.tile(q, k), mask.allow(dressed(q), dressed(k))
    assert not (kind is Tile.EMPTY and matrix.any())
    assert not (kind is Tile.FULL and not matrix.all())


@settings(deadline=None, max_examples=300)
@given(MASKS, RANGES, RANGES)
def test_reach_agrees_with_allow(mask: Mask, q: range, k: range) -> None:
    distance = torch.tensor(list(q))[:, None] - torch.tensor(list(k))[None]
    if mask.reach.back is not None:
        beyond = (distance > mask.reach.back) & (torch.tensor(list(k)) >= mask.reach.first)
        assert not (allowed(mask, q, k) & beyond).any()
    if mask.reach.ahead is not None:
        assert not (allowed(mask, q, k) & (distance < -mask.reach.ahead)).any()


@settings(deadline=None, max_examples=300)
@given(MASKS, RANGES, RANGES)
def test_a_causal_mask_sees_nothing_later(mask: Mask, q: range, k: range) -> None:
    distance = torch.tensor(list(q))[:, None] - torch.tensor(list(k))[None]
    if mask.causal:
        assert not (allowed(mask, q, k) & (distance < 0)).any()


@settings(deadline=None, max_examples=100)
@given(MASKS, MASKS, RANGES, RANGES)
def test_joined_masks_are_logic(a: Mask, b: Mask, q: range, k: range) -> None:
    left, right = allowed(a, q, k), allowed(b, q, k)
    assert torch.equal(allowed(a & b, q, k), left & right)
    assert torch.equal(allowed(a | b, q, k), left | right)
    assert torch.equal(allowed(~a, q, k), ~left)


@settings(deadline=None, max_examples=60)
@given(MASKS, st.integers(0, 20), st.integers(0, 20))
def test_a_mask_does_not_depend_on_what_else_is_in_the_batch(mask: Mask, first: int, second: int) -> None:
    """Rows at different positions in one call are judged as if each were alone."""
    q = torch.arange(5) + torch.tensor([[first], [second]])
    together = mask.allow(Slots(q), Slots(q)).expand(2, 5, 5)
    for row, start in enumerate((first, second)):
        assert torch.equal(together[row], allowed(mask, range(start, start + 5), range(start, start + 5)))


def test_equal_rules_are_equal_values() -> None:
    assert build("causal & sliding_window(3)") == build("causal & sliding_window(window=3)")
    assert len({build("~causal"), build("~causal"), build("causal")}) == 2
