"""Value: what reward is still to come, judged at each token.

What: a linear layer on every token.
Why: PPO compares what was reached with what was expected; the difference tells which tokens did well.
Math: w . h_i + b
Cost: d_model + 1 weights
Used by: PPO (the critic)
Paper: Schulman et al. 2017, Proximal Policy Optimization; Ouyang et al. 2022, section 3.5
"""

from __future__ import annotations

from torch import Tensor, nn

from isinglass.models.head import Head, HeadDims
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict()


class Value(Head):
    """(batch, time) values."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.out_proj = nn.Linear(d_model, 1)

    def forward(self, hidden: Tensor, slots: Slots, embedding: Tensor) -> Tensor:
        return self.out_proj(hidden).squeeze(-1)


def build(dims: HeadDims) -> Head:
    return Value(dims.d_model)
