"""Random blocks: each block of queries sees a few blocks of keys from before it, drawn once and for all; those see it too.

What: each block draws `count` distinct blocks before it, but for the first two and its neighbour, which BigBird's global blocks and
      window show anyhow: all there are while there are fewer. A hash of (seed, block) draws, so a text of any length has the same.
Why: a random graph has short paths, so news crosses the text in few layers; nothing changes as the text grows, so keys can be cached.
Math: D(a) = `count` of 2 ... a - 2; with blocks a = i // block, b = j // block: allow(i, j) = b in D(a) or a in D(b)
Cost: N * block * count scores before the diagonal, and as many after it: exactly `count` blocks in each row of a causal model. An
      encoder's row has these and the ones that drew it, `count` on average. Exactly `count` on both sides together cannot be without
      knowing the length: a row with its count in a short text could see nothing new in a longer one, so would see its neighbours alone
Used by: BigBird, with blocks of 64: sliding_window(128) | global_tokens(128) | random_blocks(64, 3). It rounds the window to three whole
      blocks, and counts as global the first and the last block: give positions in blocks, the last one first, and it is
      sliding_window(2) | global_tokens(2) | random_blocks(1, 3)
Paper: Zaheer et al. 2020, Big Bird, section 2 and appendix D
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.mask import Mask, Tile
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(block=2, count=1)
FIRST = 2  # the blocks before it are BigBird's global ones
Number = TypeVar("Number", int, Tensor)


@dataclass(frozen=True)
class RandomBlocks(Mask):
    block: int
    count: int
    seed: int

    def allow(self, q: Slots, k: Slots) -> Tensor:
        a, b = q.position // self.block, k.position // self.block
        allowed = torch.zeros(len(a), a.shape[1], b.shape[1], dtype=torch.bool, device=a.device)
        for of_query, of_key in zip(self.drawn(a), self.drawn(b), strict=True):
            allowed = allowed | (of_query[:, :, None] == b[:, None, :]) | (a[:, :, None] == of_key[:, None, :])
        return allowed

    def tile(self, q: range, k: range) -> Tile:
        rows, columns = (range(side[0] // self.block, side[-1] // self.block + 1) for side in (q, k))
        drawn = {a: set(self.drawn(a)) for a in {*rows, *columns}}
        kinds = {b in drawn[a] or a in drawn[b] for a in rows for b in columns}
        if len(kinds) > 1:
            return Tile.MIXED
        return Tile.FULL if kinds == {True} else Tile.EMPTY

    def drawn(self, block: Number) -> Iterator[Number]:
        """The blocks that each block draws, one after the other, by Floyd's method; -1 where none is left. Same for ints and tensors."""
        earlier: list[Number] = []
        for turn in range(self.count):
            last = block - 1 - self.count + turn  # the draw is from FIRST ... last; what is drawn already gives way to `last`, which is not
            some = last >= FIRST
            pick = FIRST + hashed(self.seed, block, turn) % ((last - FIRST) * some + 1)
            again = sum(pick == other for other in earlier)
            earlier.append((pick + (last - pick) * again + 1) * some - 1)
            yield earlier[-1]


def hashed(seed: int, a: Number, turn: int) -> Number:
    """A number in [0, 2^32) that looks random; the same for ints and tensors of ints."""
    mixed = a * 0 + 0x9E3779B9
    for part in (seed, a, turn):
        mixed = (mixed + part) & 0xFFFFFFFF
        # two rounds of multiply and fold; the odd factors are below 2^31, so no product leaves 64 bits
        for factor in (0x45D9F3B, 0x27D4EB2D):
            mixed = ((mixed ^ (mixed >> 16)) * factor) & 0xFFFFFFFF
        mixed = mixed ^ (mixed >> 15)
    return mixed


def build(dims: Dims, block: int, count: int, seed: int = 0) -> Mask:
    """`count` blocks of `block` keys before each block of queries; another `seed` draws others."""
    if block < 1 or count < 1:
        raise VariantError(f"random_blocks: block = {block!r} and count = {count!r}, expected at least 1")
    return RandomBlocks(block, count, seed)
