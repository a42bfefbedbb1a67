"""Each mask's matrix, typed by hand from the paper. Rows are queries, columns keys, 1 = may attend."""

from __future__ import annotations

import pytest
import torch

from helpers.variants import mask
from isinglass.core.errors import VariantError
from isinglass.nn.attention.mask import Reach, Tile, visible
from isinglass.nn.attention.slots import Slots

SIX = Slots(torch.arange(6)[None])

MATRICES = {
    "full": ["111111"] * 6,
    "causal": ["100000", "110000", "111000", "111100", "111110", "111111"],
    "~causal": ["011111", "001111", "000111", "000011", "000001", "000000"],
    # Longformer counts w per side: w = 1 is window 2
    "sliding_window(2)": ["110000", "111000", "011100", "001110", "000111", "000011"],
    # Mistral counts the token itself: W = 3 sees itself and the two before
    "causal & sliding_window(3)": ["100000", "110000", "111000", "011100", "001110", "000111"],
    "causal & sliding_window(1)": ["100000", "010000", "001000", "000100", "000010", "000001"],
    "causal & ~sliding_window(3)": ["000000", "000000", "000000", "100000", "110000", "111000"],
    "causal | sliding_window(2)": ["110000", "111000", "111100", "111110", "111111", "111111"],
    "~(causal | sliding_window(2))": ["001111", "000111", "000011", "000001", "000000", "000000"],
    "sliding_window(2) & ~sliding_window(1)": ["010000", "101000", "010100", "001010", "000101", "000010"],
    "documents": ["111111"] * 6,  # without document numbers nothing is hidden
}


def rows(allowed: torch.Tensor) -> list[str]:
    return ["".join(str(int(cell)) for cell in row) for row in allowed]


@pytest.mark.parametrize("text", MATRICES)
def test_matrix(text: str) -> None:
    assert rows(mask(text).allow(SIX, SIX)[0]) == MATRICES[text]


def test_local_attention_with_two_per_side() -> None:
    """Local w = 2: token 5 sees 3, 4, 5, 6, 7; two per side is a window of 3."""
    ten = Slots(torch.arange(10)[None])
    assert mask("sliding_window(3)").allow(ten, ten)[0, 5].nonzero().flatten().tolist() == [3, 4, 5, 6, 7]


def test_longformers_window_of_ten_per_side() -> None:
    many = Slots(torch.arange(200)[None])
    assert mask("sliding_window(11)").allow(many, many)[0, 100].nonzero().flatten().tolist() == list(range(90, 111))


def test_documents_by_number() -> None:
    packed = Slots(torch.tensor([[0, 1, 2, 0, 1, 0]]), document=torch.tensor([[0, 0, 0, 1, 1, 2]]))
    assert rows(mask("documents").allow(packed, packed)[0]) == ["111000", "111000", "111000", "000110", "000110", "000001"]
    assert rows(mask("causal & documents").allow(packed, packed)[0]) == ["100000", "110000", "111000", "000100", "000110", "000001"]


def test_padding_is_hidden_whatever_the_mask_says() -> None:
    padded = Slots(torch.tensor([[0, 0, 1, 2]]), valid=torch.tensor([[False, True, True, True]]))
    assert rows(visible(mask("full"), padded, padded)[0]) == ["0111"] * 4
    # a key that is padding stays hidden although it stands at position 0, as the first real token does
    assert rows(visible(mask("causal"), padded, padded)[0]) == ["0100", "0100", "0110", "0111"]


def test_queries_and_keys_may_differ_in_number() -> None:
    """Two new tokens over five: aligned by position, which is bottom-right."""
    q, k = Slots(torch.tensor([[3, 4]])), Slots(torch.arange(5)[None])
    assert rows(mask("causal").allow(q, k)[0]) == ["11110", "11111"]
    assert rows(mask("causal & sliding_window(2)").allow(q, k)[0]) == ["00110", "00011"]


def test_causality_of_joined_masks() -> None:
    wanted = {
        "causal": True,
        "full": False,
        "causal & full": True,
        "causal | full": False,
        "~causal": False,
        "causal | causal & full": True,
    }
    assert {text: mask(text).causal for text in wanted} == wanted


def test_reach_of_joined_masks() -> None:
    assert mask("causal").reach == Reach(None)
    assert mask("causal & sliding_window(5)").reach == Reach(4)
    assert mask("sliding_window(3) | sliding_window(5)").reach == Reach(4)
    assert mask("causal | sliding_window(5)").reach == Reach(None)
    assert mask("sliding_window(3) & sliding_window(5)").reach == Reach(2)
    assert mask("~sliding_window(3)").reach == Reach(None)


def test_tiles_say_more_than_mixed_where_it_pays() -> None:
    """A tiling kernel skips what is EMPTY and needs no mask where it is FULL."""
    window = mask("causal & sliding_window(8)")
    assert window.tile(range(32, 36), range(4)) is Tile.EMPTY
    assert window.tile(range(4), range(8, 12)) is Tile.EMPTY
    assert window.tile(range(32, 36), range(29, 32)) is Tile.FULL
    assert window.tile(range(32, 36), range(32, 36)) is Tile.MIXED
    assert mask("~causal").tile(range(4), range(8, 12)) is Tile.FULL


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(VariantError, match="sliding_window: window = 0, expected at least 1"):
        mask("sliding_window(0)")


def test_masks_join_with_masks_only() -> None:
    with pytest.raises(TypeError):
        mask("causal") & True  # type: ignore[operator]
