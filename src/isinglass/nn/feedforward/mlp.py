"""Multi-layer perceptron: widen, bend, narrow.

What: down(activation(up(x))), the feed-forward layer of the first transformer, GPT-2 and BERT.
Why: attention mixes positions; this is where each position is worked on alone, and where two thirds of a block's weights sit.
Math: W2 f(W1 x + b1) + b2 with W1 of d_ff x d_model, usually d_ff = 4 d_model.
Cost: 4 d_model d_ff FLOPs per token, 2 d_model d_ff weights.
Used by: GPT-2, BERT, the original transformer
Paper: Vaswani et al. 2017, Attention Is All You Need, section 3.3
"""

from __future__ import annotations

from torch import Tensor, nn

from isinglass.nn.activations import activation
from isinglass.nn.feedforward_layer import FeedForward, FeedForwardDims
from isinglass.nn.tap import Tap, tapped

EXAMPLE = dict(activation="gelu_tanh")


class MLP(FeedForward):
    def __init__(self, dims: FeedForwardDims, activation_name: str, bias: bool) -> None:
        super().__init__()
        self.activation = activation(activation_name)
        self.up_proj = nn.Linear(dims.d_model, dims.d_ff, bias=bias)
        self.down_proj = nn.Linear(dims.d_ff, dims.d_model, bias=bias)

    def forward(self, x: Tensor, tap: Tap | None = None) -> Tensor:
        inner = tapped(tap, "mlp.pre", self.activation(self.up_proj(x)))
        return tapped(tap, "mlp.post", self.down_proj(inner))


def build(dims: FeedForwardDims, activation: str = "gelu", bias: bool = True) -> MLP:
    """`activation` is gelu, gelu_tanh, silu or relu."""
    return MLP(dims, activation, bias)
