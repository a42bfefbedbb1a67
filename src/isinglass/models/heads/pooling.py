"""Pooling: one vector for a text, from those of its tokens.

What: the mean, the maximum or the first of the token vectors, brought to length 1.
Why: texts are compared by one vector each; at length 1 the dot product of two is the cosine of their angle.
Math: p / |p|, p = mean of h_i over the tokens that are no padding
Cost: no weights, d_model numbers per text
Used by: Sentence-BERT, MiniLM
Paper: Reimers and Gurevych 2019, Sentence-BERT
"""

from __future__ import annotations

from torch import Tensor, nn

from isinglass.models.head import Head, HeadDims
from isinglass.nn.attention.slots import Slots
from isinglass.nn.pooling import pooling

EXAMPLE = dict(kind="mean")


class Pooling(Head):
    """(batch, d_model) vectors of length 1."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.pool = pooling(kind)

    def forward(self, hidden: Tensor, slots: Slots, embedding: Tensor) -> Tensor:
        return nn.functional.normalize(self.pool(hidden, slots.valid), dim=-1)


def build(dims: HeadDims, kind: str = "mean") -> Head:
    """`kind` is mean, max, first or last."""
    return Pooling(kind)
