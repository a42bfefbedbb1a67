"""Pooler: BERT's own vector of a text.

What: the first token through a dense layer and tanh.
Why: next-sentence prediction was trained on it, and fine-tuned classifiers start from it.
Math: tanh(V h_[CLS] + c)
Cost: d_model (d_model + 1) weights
Used by: BERT
Paper: Devlin et al. 2018, BERT, section 3.1
"""

from __future__ import annotations

from torch import Tensor

from isinglass.models.head import Head, HeadDims
from isinglass.nn.attention.slots import Slots
from isinglass.nn.pooling import Pooler

EXAMPLE = dict()


class PoolerHead(Head):
    """(batch, d_model) vectors with features between -1 and 1."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.pooler = Pooler(d_model)

    def forward(self, hidden: Tensor, slots: Slots, embedding: Tensor) -> Tensor:
        return self.pooler(hidden, slots.valid)


def build(dims: HeadDims) -> Head:
    return PoolerHead(dims.d_model)
