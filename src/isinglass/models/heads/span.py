"""Span: where in the text the answer begins and ends.

What: two scores for each token, as first and as last token of the answer.
Why: questions whose answer stands in the text (SQuAD) need no generation.
Math: W h_i + b, with W of 2 x d_model; softmax runs over the tokens of the text
Cost: 2 d_model + 2 weights
Used by: BERT fine-tuned on SQuAD
Paper: Devlin et al. 2018, BERT, section 4.2
"""

from __future__ import annotations

from torch import Tensor, nn

from isinglass.models.head import Head, HeadDims
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict()


class Span(Head):
    """(batch, time, 2) logits: start and end; padding gets -inf, so that no softmax ever chooses it."""

    def __init__(self, dims: HeadDims) -> None:
        super().__init__()
        self.out_proj = nn.Linear(dims.d_model, 2)

    def forward(self, hidden: Tensor, slots: Slots, embedding: Tensor) -> Tensor:
        scores = self.out_proj(hidden)
        return scores if slots.valid is None else scores.masked_fill(~slots.valid[..., None], float("-inf"))


def build(dims: HeadDims) -> Head:
    return Span(dims)
