"""ALiBi: a straight penalty on distance, steeper in some heads than in others.

What: each head subtracts its slope times the distance from the score; nothing is trained.
Why: a model trained on short texts reads longer ones, because far tokens fade the same way at any length.
Math: score - m_h |i - j|; with H heads, a power of two, m_h = 2^(-8 h / H), h = 1 ... H. For other H: the slopes of the power of two P
      below H, then every other slope of 2 P heads, until there are H
Cost: one multiplication per score
Used by: MPT, BLOOM (which adds m_h j: under a causal mask the same softmax)
Paper: Press et al. 2021, Train Short, Test Long
"""

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.position import Position, offsets
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict()


class Alibi(Position):
    def __init__(self, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads

    def bias(self, q: Tensor, k: Tensor, q_slots: Slots, k_slots: Slots) -> Tensor:
        steep = slopes(self.n_heads).to(q.device)[:, None, None]
        return (-steep * offsets(q_slots, k_slots).abs()[:, None]).to(q.dtype)


def slopes(n_heads: int) -> Float[Tensor, "heads"]:
    """How steeply each head forgets, in score per token.

    >>> slopes(4)
    tensor([0.2500, 0.0625, 0.0156, 0.0039])
    """
    power = 1 << (n_heads.bit_length() - 1)
    exponents = [8 * h / power for h in range(1, power + 1)] + [8 * h / (2 * power) for h in range(1, 2 * power + 1, 2)]
    return 2.0 ** -torch.tensor(exponents[:n_heads])


def build(dims: Dims) -> Position:
    return Alibi(dims.n_heads)
