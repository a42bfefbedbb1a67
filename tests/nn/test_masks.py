"""Each mask's matrix, typed by hand from the paper. Rows are queries, columns keys, 1 = may attend."""

from __future__ import annotations

import pytest
import torch

from helpers.variants import kernel, mask, position
from isinglass.core.errors import VariantError
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.layer import Attention, Parts
from isinglass.nn.attention.mask import Reach, Tile, visible
from isinglass.nn.attention.masks.random_blocks import RandomBlocks
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
    # Sparse Transformer: every third, and joined with a window of the stride
    "strided(3)": ["100100", "010010", "001001", "100100", "010010", "001001"],
    "causal & (sliding_window(2) | strided(3))": ["100000", "110000", "011000", "101100", "010110", "001011"],
    # Longformer, figure 2: three tokens in all directions, two apart; the window alone would stop at distance 2
    "dilated(3, 2)": ["101010", "010101", "101010", "010101", "101010", "010101"],
    "dilated(2, 2)": ["101000", "010100", "101010", "010101", "001010", "000101"],
    "global_tokens(1)": ["111111", "100000", "100000", "100000", "100000", "100000"],
    # Longformer: a window of 1 per side and 1 global token
    "sliding_window(2) | global_tokens(1)": ["111111", "111000", "111100", "101110", "100111", "100011"],
    # attention sinks: the first token stays visible
    "causal & (sliding_window(2) | global_tokens(1))": ["100000", "110000", "111000", "101100", "100110", "100011"],
    "prefix": ["100000", "110000", "111000", "111100", "111110", "111111"],  # without a length it is causal
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


def test_stride_of_five() -> None:
    """Token 10 sees 0, 5, 10, 15, 20."""
    many = Slots(torch.arange(21)[None])
    assert mask("strided(5)").allow(many, many)[0, 10].nonzero().flatten().tolist() == [0, 5, 10, 15, 20]


def test_prefix_opens_the_first_tokens_of_each_row() -> None:
    slots = Slots(torch.arange(5).expand(2, -1), prefix_length=torch.tensor([3, 1]))
    allowed = mask("prefix").allow(slots, slots)
    assert rows(allowed[0]) == ["11100", "11100", "11100", "11110", "11111"]
    assert rows(allowed[1]) == ["10000", "11000", "11100", "11110", "11111"]


# once drawn, they stay: a model is trained with them. Block 4 can draw 2 alone, block 5 drew 2 and block 6 drew 4; who was drawn sees who drew
RANDOM_BLOCKS = ["0000000", "0000000", "0000110", "0000000", "0010001", "0010000", "0000100"]


def test_random_blocks_by_hand() -> None:
    """They are whole blocks of 2 x 2. What is drawn is fixed by the seed."""
    fourteen = Slots(torch.arange(14)[None])
    drawn = mask("random_blocks(2, 1)").allow(fourteen, fourteen)[0]
    blocks = drawn.unflatten(0, (7, 2)).unflatten(2, (7, 2)).transpose(1, 2).flatten(2)
    assert torch.equal(blocks.any(-1), blocks.all(-1))
    assert rows(blocks.all(-1)) == RANDOM_BLOCKS


def test_random_blocks_do_not_change_as_the_text_grows() -> None:
    rule, long, short = mask("random_blocks(4, 2)"), Slots(torch.arange(400)[None]), Slots(torch.arange(150)[None])
    assert torch.equal(rule.allow(long, long)[:, :150, :150], rule.allow(short, short))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_each_block_draws_as_many_as_it_says(count: int) -> None:
    """`count` different ones before it, but for the first two and its neighbour; all there are while there are fewer."""
    blocks = Slots(torch.arange(300)[None])
    seen = mask(f"random_blocks(1, {count}, seed=7)").allow(blocks, blocks)[0]
    assert seen.tril().sum(-1).tolist() == [max(0, min(count, block - 3)) for block in range(300)]
    assert torch.equal(seen, seen.T)  # a pair sees one another
    assert not seen[:, :2].any()
    assert not seen.tril().triu(-1).any()


def test_random_blocks_are_drawn_evenly() -> None:
    """Block 9 draws two of 2 ... 7: each of the 15 pairs as often as another, over seeds."""
    drawn = [tuple(sorted(RandomBlocks(block=1, count=2, seed=seed).drawn(9))) for seed in range(1500)]
    counts = torch.tensor([drawn.count((a, b)) for a in range(2, 8) for b in range(a + 1, 8)])
    assert int(counts.sum()) == 1500
    # 14 degrees of freedom: above 36.1 in one of a thousand fair draws; these seeds are fixed
    assert float(((counts - 100) ** 2 / 100).sum()) < 36.1


def test_random_blocks_of_one_query_are_those_of_the_whole_text() -> None:
    """A step of generation asks for the last row alone."""
    rule, places = mask("random_blocks(4, 2) & causal"), torch.arange(100)[None]
    whole = rule.allow(Slots(places), Slots(places))
    for place in (15, 16, 40, 99):
        assert torch.equal(rule.allow(Slots(places[:, place : place + 1]), Slots(places)), whole[:, place : place + 1])


def test_longformer_equals_transformers() -> None:
    """Their layer, with the same weights for local and global attention, against ours with the mask as an expression."""
    from transformers import LongformerConfig
    from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

    config = LongformerConfig(hidden_size=16, num_attention_heads=2, attention_window=[4], attention_probs_dropout_prob=0.0)
    theirs = LongformerSelfAttention(config, layer_id=0).eval()
    parts = Parts(position("none"), mask("sliding_window(3) | global_tokens(1)"), kernel("reference"))
    ours = Attention(Dims(16, 2, 2, 8, 64), parts, "all")
    for name, their_names in dict(q_proj=("query", "query_global"), k_proj=("key", "key_global"), v_proj=("value", "value_global")).items():
        for their_name in their_names:
            getattr(theirs, their_name).load_state_dict(getattr(ours, name).state_dict())
    ours.o_proj = torch.nn.Identity()
    x, slots = torch.randn(2, 12, 16, generator=torch.Generator().manual_seed(0)), Slots(torch.arange(12).expand(2, -1))
    is_global = (torch.arange(12) < 1).expand(2, -1)
    hidden = torch.zeros(2, 12).masked_fill(is_global, 10_000.0)  # their code: 0 is local, above 0 global
    with torch.no_grad():
        expected = theirs(
            x,
            attention_mask=hidden,
            is_index_masked=hidden < 0,
            is_index_global_attn=is_global,
            is_global_attn=True,
        )[0]
        torch.testing.assert_close(ours(x, layer=0, slots=slots, k_slots=slots), expected, atol=1e-5, rtol=1e-5)


def test_sliding_window_equals_transformers() -> None:
    from transformers.masking_utils import sliding_window_causal_mask_function

    theirs = sliding_window_causal_mask_function(3)
    wanted = [[bool(theirs(0, 0, torch.tensor(i), torch.tensor(j))) for j in range(6)] for i in range(6)]
    assert mask("causal & sliding_window(3)").allow(SIX, SIX)[0].tolist() == wanted


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
    assert mask("causal").reach == Reach(None, ahead=0)
    assert mask("causal & sliding_window(5)").reach == Reach(4, ahead=0)
    assert mask("sliding_window(3) | sliding_window(5)").reach == Reach(4, ahead=4)
    assert mask("causal | sliding_window(5)").reach == Reach(None, ahead=4)
    assert mask("sliding_window(3) & sliding_window(5)").reach == Reach(2, ahead=2)
    assert mask("~sliding_window(3)").reach == Reach(None)
    assert mask("dilated(3, 2)").reach == Reach(4, ahead=4)
    assert mask("global_tokens(2)").reach == Reach(0, first=2)
    assert mask("causal & (sliding_window(3) | global_tokens(2))").reach == Reach(2, first=2, ahead=0)
    assert mask("sliding_window(3) | strided(4)").reach == Reach(None)


def test_tiles_say_more_than_mixed_where_it_pays() -> None:
    """A tiling kernel skips what is EMPTY and needs no mask where it is FULL."""
    window = mask("causal & sliding_window(8)")
    assert window.tile(range(32, 36), range(4)) is Tile.EMPTY
    assert window.tile(range(4), range(8, 12)) is Tile.EMPTY
    assert window.tile(range(32, 36), range(29, 32)) is Tile.FULL
    assert window.tile(range(32, 36), range(32, 36)) is Tile.MIXED
    assert mask("~causal").tile(range(4), range(8, 12)) is Tile.FULL
    sinks = mask("causal & (sliding_window(8) | global_tokens(4))")
    assert sinks.tile(range(32, 36), range(4)) is Tile.FULL
    assert sinks.tile(range(32, 36), range(4, 8)) is Tile.EMPTY
    assert mask("strided(8)").tile(range(8, 10), range(2, 6)) is Tile.EMPTY
    assert mask("prefix").tile(range(8, 10), range(2, 6)) is Tile.FULL
    drawn = mask("random_blocks(4, 1)")  # block 4 draws block 2, the only one it may
    assert [drawn.tile(range(16, 20), range(4 * b, 4 * b + 4)) for b in range(4)] == [Tile.EMPTY, Tile.EMPTY, Tile.FULL, Tile.EMPTY]
    assert drawn.tile(range(8, 12), range(16, 20)) is Tile.FULL
    assert drawn.tile(range(16, 20), range(7, 9)) is Tile.MIXED


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sliding_window(0)", "sliding_window: window = 0, expected at least 1"),
        ("strided(0)", "strided: stride = 0, expected at least 1"),
        ("dilated(2, 0)", "dilated: window = 2 and dilation = 0, expected at least 1"),
        ("global_tokens(-1)", "global_tokens: count = -1, expected at least 1"),
        ("random_blocks(0, 1)", "random_blocks: block = 0 and count = 1, expected at least 1"),
    ],
)
def test_a_mask_of_nothing_is_refused(text: str, told: str) -> None:
    with pytest.raises(VariantError, match=told):
        mask(text)


def test_masks_join_with_masks_only() -> None:
    with pytest.raises(TypeError):
        mask("causal") & True  # type: ignore[operator]
