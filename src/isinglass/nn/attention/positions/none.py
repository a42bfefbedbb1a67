"""None: no information about order.

What: adds nothing.
Why: the baseline; a causal decoder can still infer some order from how many tokens it sees.
Math: x_i
Cost: none
Used by: NoPE experiments, and beside schemes that act elsewhere
Paper: Kazemnejad et al. 2023, The Impact of Positional Encoding on Length Generalization
"""

from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.position import Position

EXAMPLE = dict()


class NoPosition(Position):
    pass


def build(dims: Dims) -> Position:
    return NoPosition()
