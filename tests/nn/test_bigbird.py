"""BigBird as an expression: a matrix typed from the paper, and transformers' block-sparse attention.

A mask reads positions, so positions are given in blocks here; and the last block is given the first place, since it is as global as
the first one. What is left of BigBird is `sliding_window(2) | global_tokens(2) | random_blocks(1, r)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from helpers.variants import kernel, mask, position
from isinglass.nn.attention.mask import Mask
from isinglass.nn.attention.slots import Slots

DETERMINISTIC = "sliding_window(2) | global_tokens(2)"


def in_blocks(n_blocks: int, size: int) -> Slots:
    """Slots of n_blocks * size tokens, each at the number of its block: 1, 2, ..., and 0 for the last block."""
    return Slots(((torch.arange(n_blocks * size) // size + 1) % n_blocks)[None])


def rows(allowed: Tensor) -> list[str]:
    return ["".join(str(int(cell)) for cell in row) for row in allowed]


# One row per block of two queries, one column per key. First and last block are global; block 3 drew 1, block 4 drew 1, block 5 drew 3
# and block 6 drew 2, and each drawn pair sees one another; a window of three blocks.
BIGBIRD = [
    "1111111111111111",
    "1111111111000011",
    "1111111100001111",
    "1111111111110011",
    "1111001111110011",
    "1100001111111111",
    "1100110000111111",
    "1111111111111111",
]


def test_the_matrix_of_eight_blocks_of_two() -> None:
    eight = Slots(torch.arange(8)[None])
    drawn = mask("causal & random_blocks(1, 1)").allow(eight, eight)[0].nonzero().tolist()
    assert drawn == [[4, 2], [5, 2], [6, 4], [7, 3]]  # one place on from the blocks' own numbers: 3 drew 1, 4 drew 1, 5 drew 3, 6 drew 2
    slots = in_blocks(8, 2)
    allowed = mask(f"{DETERMINISTIC} | random_blocks(1, 1)").allow(slots, slots)[0]
    assert rows(allowed[0::2]) == BIGBIRD
    assert rows(allowed[1::2]) == BIGBIRD


SIZE, BLOCKS, HEADS, D_HEAD = 3, 14, 2, 8
TIME = SIZE * BLOCKS


@dataclass(frozen=True)
class Drawn(Mask):
    """Random blocks as data: pairs of query block and key block. A user's rule joins with | as ours do."""

    pairs: frozenset[tuple[int, int]]

    def allow(self, q: Slots, k: Slots) -> Tensor:
        table = torch.zeros(BLOCKS, BLOCKS, dtype=torch.bool)
        for pair in self.pairs:
            table[pair] = True
        return table[q.position[:, :, None], k.position[:, None, :]]


def theirs(count: int, q: Tensor, k: Tensor, v: Tensor, *, drawing: bool) -> Tensor:
    """Their attention of given queries, keys and values, (batch heads time d); they draw in training mode alone."""
    from transformers import BigBirdConfig
    from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention, BigBirdModel

    config = BigBirdConfig(hidden_size=HEADS * D_HEAD, num_attention_heads=HEADS, block_size=SIZE, num_random_blocks=count)
    attention: Any = BigBirdBlockSparseAttention(config, seed=5).train(drawing)
    blocked, band, of_queries, of_keys = BigBirdModel.create_masks_for_block_sparse_attn(torch.ones(len(q), TIME), SIZE)
    sizes = (HEADS, count, q.shape[-1], SIZE, SIZE, len(q), TIME, TIME, 5, None, None)
    out, _ = attention.bigbird_block_sparse_attention(q, k, v, band, of_queries, of_keys, blocked, blocked, *sizes)
    return out.transpose(1, 2)


def visible_to_them(count: int, *, drawing: bool) -> Tensor:
    """(heads, query block, key block). Equal scores and one-hot values: an output is the query's weights."""
    zeros, values = torch.zeros(1, HEADS, TIME, D_HEAD), torch.eye(TIME).expand(1, HEADS, -1, -1)
    tokens = theirs(count, zeros, zeros, values, drawing=drawing)[0] > 0
    blocks = tokens.unflatten(1, (BLOCKS, SIZE)).unflatten(3, (BLOCKS, SIZE)).transpose(2, 3).flatten(3)
    assert torch.equal(blocks.any(-1), blocks.all(-1))
    return blocks.all(-1)


def test_window_and_global_blocks_equal_transformers() -> None:
    """Without drawing they look at the first block once more, which all see anyhow."""
    slots = in_blocks(BLOCKS, 1)
    allowed = mask(DETERMINISTIC).allow(slots, slots)
    assert torch.equal(visible_to_them(2, drawing=False), allowed.expand(HEADS, -1, -1))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_random_blocks_are_as_many_as_transformers_draws(count: int) -> None:
    """Beside window and global blocks: `count` in each of their rows; in ours, `count` before it, as soon as there are that many."""
    slots = in_blocks(BLOCKS, 1)
    plain = mask(DETERMINISTIC).allow(slots, slots)[0]
    extra = (visible_to_them(count, drawing=True) & ~plain).sum(-1)
    assert extra.tolist() == [[0, *[count] * (BLOCKS - 2), 0]] * HEADS

    ours = mask(f"causal & random_blocks(1, {count})").allow(slots, slots)[0] & ~plain
    there = [max(0, min(count, block - 2)) for block in range(BLOCKS - 1)]  # before block 3 the window and the first block show all
    assert ours.sum(-1).tolist() == [*there, 0]


@pytest.mark.parametrize("text", ["reference", "sdpa", "flash"])
@pytest.mark.parametrize("count", [1, 3])
def test_attention_equals_transformers(count: int, text: str) -> None:
    generator = torch.Generator().manual_seed(count)
    q, k, v = torch.randn(3, 2, HEADS, TIME, D_HEAD, generator=generator)
    expected = theirs(count, q, k, v, drawing=True)
    slots = Slots(in_blocks(BLOCKS, SIZE).position.expand(2, -1))
    drawn = visible_to_them(count, drawing=True) & ~visible_to_them(count, drawing=False)
    for head in range(HEADS):
        pairs = frozenset((query + 1, key + 1) for query, key in drawn[head].nonzero().tolist())
        one = slice(head, head + 1)
        options: dict[str, Any] = dict(q_slots=slots, k_slots=slots, bias=position("none").bias, scale=D_HEAD**-0.5)
        rule = mask(DETERMINISTIC)
        out = kernel(text).attend(q[:, one], k[:, one], v[:, one], mask=rule | Drawn(pairs), **options)
        torch.testing.assert_close(out, expected[:, one], atol=1e-5, rtol=1e-5)
        alone = kernel(text).attend(q[:, one], k[:, one], v[:, one], mask=rule, **options)
        assert (alone - expected[:, one]).abs().max() > 0.01  # what was drawn matters
