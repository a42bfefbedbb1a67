"""Next sentence: whether the second text follows the first.

What: the pooled first token, then two scores: 0 it follows, 1 it was drawn at random.
Why: BERT's second training task, meant to teach relations between sentences; RoBERTa later trained better without it.
Math: W tanh(V h_[CLS] + b) + c
Cost: d_model^2 + 3 d_model + 2 weights
Used by: BERT
Paper: Devlin et al. 2018, BERT, section 3.1; Liu et al. 2019, RoBERTa, section 4.2
"""

from __future__ import annotations

from torch import Tensor, nn

from isinglass.models.head import Head, HeadDims
from isinglass.nn.attention.slots import Slots
from isinglass.nn.pooling import Pooler

EXAMPLE = dict()


class NextSentence(Head):
    """(batch, 2) logits."""

    def __init__(self, dims: HeadDims) -> None:
        super().__init__()
        self.pooler = Pooler(dims.d_model)
        self.out_proj = nn.Linear(dims.d_model, 2)

    def forward(self, hidden: Tensor, slots: Slots, embedding: Tensor) -> Tensor:
        return self.out_proj(self.pooler(hidden, slots.valid))


def build(dims: HeadDims) -> Head:
    return NextSentence(dims)
