"""Random blocks: each block of queries sees a few blocks of keys, drawn once and for all.

What: a hash of (seed, query block, key block) decides; the same pair has the same answer in a text of any length.
Why: a random graph has short paths, so news crosses the text in few layers; nothing changes as the text grows, so keys can be cached.
Math: with blocks a = i // block, b = j // block: allow(i, j) = hash(seed, a, b) < count / (max(a, b) + 1), hash uniform in [0, 1)
Cost: on average N * block * count scores before the diagonal, and as many after it
Used by: BigBird (sliding_window(193) | global_tokens(128) | random_blocks(64, 3)), which draws exactly `count` blocks for one length
Paper: Zaheer et al. 2020, Big Bird, section 2
"""

from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.mask import Mask, Tile
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(block=2, count=1)
Number = TypeVar("Number", int, Tensor)


@dataclass(frozen=True)
class RandomBlocks(Mask):
    block: int
    count: int
    seed: int

    def allow(self, q: Slots, k: Slots) -> Tensor:
        a, b = q.position[:, :, None] // self.block, k.position[:, None, :] // self.block
        return hashed(self.seed, a, b) * (a.maximum(b) + 1) < self.count << 32

    def tile(self, q: range, k: range) -> Tile:
        rows, columns = (range(side[0] // self.block, side[-1] // self.block + 1) for side in (q, k))
        drawn = {hashed(self.seed, a, b) * (max(a, b) + 1) < self.count << 32 for a, b in product(rows, columns)}
        if len(drawn) > 1:
            return Tile.MIXED
        return Tile.FULL if drawn == {True} else Tile.EMPTY


def hashed(seed: int, a: Number, b: Number) -> Number:
    """A number in [0, 2^32) that looks random; the same for ints and tensors of ints."""
    mixed = a * 0 + 0x9E3779B9
    for part in (seed, a, b):
        mixed = (mixed + part) & 0xFFFFFFFF
        # two rounds of multiply and fold; the odd factors are below 2^31, so no product leaves 64 bits
        for factor in (0x45D9F3B, 0x27D4EB2D):
            mixed = ((mixed ^ (mixed >> 16)) * factor) & 0xFFFFFFFF
        mixed = mixed ^ (mixed >> 15)
    return mixed


def build(dims: Dims, block: int, count: int, seed: int = 0) -> Mask:
    """`count` blocks of `block` keys per block of queries, on average, on either side of the diagonal."""
    if block < 1 or count < 1:
        raise VariantError(f"random_blocks: block = {block!r} and count = {count!r}, expected at least 1")
    return RandomBlocks(block, count, seed)
