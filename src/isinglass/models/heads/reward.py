"""Reward: one number that says how good a text is.

What: a linear layer on the last token, the only one that has seen the whole text in a decoder.
Why: people compare answers more easily than they grade them; a reward model turns comparisons into a number to be maximised.
Math: w . h_last + b
Cost: d_model + 1 weights
Used by: InstructGPT, Llama 2 Chat
Paper: Ouyang et al. 2022, Training language models to follow instructions with human feedback, section 3.5
"""

from __future__ import annotations

from torch import Tensor, nn

from isinglass.models.head import Head, HeadDims
from isinglass.nn.attention.slots import Slots
from isinglass.nn.pooling import last

EXAMPLE = dict()


class Reward(Head):
    """(batch,) rewards."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.out_proj = nn.Linear(d_model, 1)

    def forward(self, hidden: Tensor, slots: Slots, embedding: Tensor) -> Tensor:
        return self.out_proj(last(hidden, slots.valid)).squeeze(-1)


def build(dims: HeadDims) -> Head:
    return Reward(dims.d_model)
