"""The transformer block: attention and feed-forward, each added to the residual stream."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from isinglass.nn.attention.cache import Cache
from isinglass.nn.attention.layer import Attention
from isinglass.nn.attention.slots import Slots
from isinglass.nn.feedforward_layer import FeedForward
from isinglass.nn.tap import Tap, tapped


class Block(nn.Module):
    """Pre-norm: x + attention(norm(x)), then x + mlp(norm(x)) (Xiong et al. 2020: trains without warm-up, gradients stay level)."""

    def __init__(self, attention_norm: nn.Module, attention: Attention, mlp_norm: nn.Module, mlp: FeedForward, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.mlp_norm, self.mlp = mlp_norm, mlp
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        *,
        layer: int,
        slots: Slots,
        k_slots: Slots,
        cache: Cache | None = None,
        tap: Tap | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        x = tapped(tap, "resid_pre", x)
        attended = self.attention(self.attention_norm(x), layer=layer, slots=slots, k_slots=k_slots, cache=cache, tap=tap)
        x = tapped(tap, "resid_mid", x + self.dropout(attended))
        return tapped(tap, "resid_post", x + self.dropout(self.mlp(self.mlp_norm(x), tap)))
