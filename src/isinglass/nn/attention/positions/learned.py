"""Learned: one trained vector per position, added to the token embedding.

What: a table with a row for each position up to the context length.
Why: the simplest scheme that trains; it cannot go beyond the rows it has.
Math: x_i + P[i]
Cost: context_length * d_model weights
Used by: GPT-2, BERT
Paper: Gehring et al. 2017, Convolutional Sequence to Sequence Learning; Devlin et al. 2018, BERT
"""

import torch
from torch import Tensor, nn

from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.position import Position, distinct_rows
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict()


class Learned(Position):
    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dims.context_length, dims.d_model))

    def embed(self, slots: Slots) -> Tensor:
        return nn.functional.embedding(distinct_rows(slots), self.weight)


def build(dims: Dims) -> Position:
    return Learned(dims)
