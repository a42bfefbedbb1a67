"""Mixture of experts: a router sends each token to a few of many gated units.

What: sum over the `top_k` best experts of softmax(their router scores) times what the expert says.
Why: the model holds the knowledge of all experts, and a token pays for `top_k` of them.
Math: sum_i w_i GLU_i(x), i in top_k(R x), w = softmax of (R x)_i over the chosen alone
Cost: 6 top_k d_model d_ff FLOPs per token, 3 n_experts d_model d_ff weights; the router adds d_model n_experts
Used by: Mixtral 8x7B and 8x22B
Paper: Shazeer et al. 2017, Outrageously Large Neural Networks; Jiang et al. 2024, Mixtral of Experts
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.core.errors import VariantError
from isinglass.nn.feedforward.glu import GLU
from isinglass.nn.feedforward_layer import FeedForward, FeedForwardDims
from isinglass.nn.tap import Tap, tapped

EXAMPLE = dict(n_experts=4, top_k=2)


class MoE(FeedForward):
    """Taps: `mlp.router` (a score per expert, before the softmax) and `mlp.post`."""

    def __init__(self, dims: FeedForwardDims, n_experts: int, top_k: int, activation_name: str) -> None:
        super().__init__()
        self.top_k = top_k
        self.router = nn.Linear(dims.d_model, n_experts, bias=False)
        self.experts = nn.ModuleList(GLU(dims, activation_name, bias=False) for _ in range(n_experts))

    def forward(self, x: Float[Tensor, "batch time d_model"], tap: Tap | None = None) -> Float[Tensor, "batch time d_model"]:
        scores = tapped(tap, "mlp.router", self.router(x))
        best = scores.float().topk(self.top_k, dim=-1)
        weights = best.values.softmax(dim=-1).to(x.dtype)
        y = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            row, time, rank = torch.where(best.indices == number)
            # an expert that no token was sent to is not run
            if len(row):
                y[row, time] += weights[row, time, rank, None] * expert(x[row, time])
        return tapped(tap, "mlp.post", y)

    @property
    def idle_weights(self) -> int:
        """Weights that one token does not use: those of the experts it is not sent to."""
        each = sum(weight.numel() for weight in self.experts[0].parameters())
        return (len(self.experts) - self.top_k) * each


def build(dims: FeedForwardDims, n_experts: int = 8, top_k: int = 2, activation: str = "silu") -> MoE:
    """`top_k` of `n_experts` work on each token; `activation` is gelu, gelu_tanh, silu or relu."""
    if not 1 <= top_k <= n_experts:
        raise VariantError(f"moe: top_k = {top_k!r}, expected 1 to n_experts = {n_experts!r}", hint="Mixtral has moe(n_experts=8, top_k=2)")
    return MoE(dims, n_experts, top_k, activation)
