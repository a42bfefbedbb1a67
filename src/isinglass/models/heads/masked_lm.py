"""Masked language modelling: which token stands behind each [MASK].

What: a dense layer, an activation and a LayerNorm, then a score for every token of the vocabulary.
Why: an encoder sees both sides, so it cannot be trained to predict the next token; it is trained to fill gaps instead.
Math: E LayerNorm(f(W h + b)) + c, with E the token embedding (vocab x d_model) and c one number per token
Cost: 2 d_model (d_model + vocab) FLOPs per token; d_model^2 + 4 d_model + vocab weights beside the shared embedding
Used by: BERT
Paper: Devlin et al. 2018, BERT, section 3.1
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.models.head import Head, HeadDims
from isinglass.nn.activations import activation as activation_named
from isinglass.nn.attention.slots import Slots
from isinglass.nn.norms import LayerNorm

EXAMPLE = dict(activation="gelu")


class MaskedLM(Head):
    """(batch, time, vocab) logits."""

    def __init__(self, dims: HeadDims, activation: str) -> None:
        super().__init__()
        self.dense = nn.Linear(dims.d_model, dims.d_model)
        self.activation = activation_named(activation)
        self.norm = LayerNorm(dims.d_model, dims.norm_eps)
        self.bias = nn.Parameter(torch.zeros(dims.vocab_size))

    def forward(self, hidden: Tensor, slots: Slots, embedding: Tensor) -> Tensor:
        return nn.functional.linear(self.features(hidden), embedding, self.bias)

    def features(self, hidden: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """What is compared with the embedding of every token."""
        return self.norm(self.activation(self.dense(hidden)))


def build(dims: HeadDims, activation: str = "gelu") -> Head:
    """`activation` is gelu, gelu_tanh, silu or relu."""
    return MaskedLM(dims, activation)
