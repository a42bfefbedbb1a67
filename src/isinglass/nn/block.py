"""The transformer blocks: attention and feed-forward, each added to the residual stream; the norm stands before or after."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from isinglass.nn.attention.cache import Cache
from isinglass.nn.attention.layer import Attention
from isinglass.nn.attention.slots import Slots
from isinglass.nn.dropout import Dropout
from isinglass.nn.feedforward_layer import FeedForward
from isinglass.nn.tap import Scoped, Tap, tapped


class Block(nn.Module):
    """Pre-norm: x + attention(norm(x)), then x + mlp(norm(x)) (Xiong et al. 2020: trains without warm-up, gradients stay level)."""

    def __init__(self, attention_norm: nn.Module, attention: Attention, mlp_norm: nn.Module, mlp: FeedForward, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.mlp_norm, self.mlp = mlp_norm, mlp
        self.dropout = Dropout(dropout)

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


class PostNormBlock(nn.Module):
    """Post-norm: norm(x + attention(x)), then norm(x + mlp(x)), as the first transformer and BERT have it (Vaswani 2017, section 3.1).

    `resid_mid` and `resid_post` are the normalised sums: there is no residual stream that passes a block untouched.
    """

    def __init__(self, attention_norm: nn.Module, attention: Attention, mlp_norm: nn.Module, mlp: FeedForward, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.mlp_norm, self.mlp = mlp_norm, mlp
        self.dropout = Dropout(dropout)

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
        attended = self.attention(x, layer=layer, slots=slots, k_slots=k_slots, cache=cache, tap=tap)
        x = tapped(tap, "resid_mid", self.attention_norm(x + self.dropout(attended)))
        return tapped(tap, "resid_post", self.mlp_norm(x + self.dropout(self.mlp(x, tap))))


class CrossBlock(nn.Module):
    """Pre-norm block of a decoder that also reads another text: x + attention(norm(x)), + cross_attention(norm(x)), + mlp(norm(x)).

    `memory` are the keys and values its cross-attention made of the other text (`cross_attention.remember`), `memory_slots` their slots.
    """

    def __init__(
        self,
        norms: tuple[nn.Module, nn.Module, nn.Module],
        attention: Attention,
        cross_attention: Attention,
        mlp: FeedForward,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention_norm, self.attention = norms[0], attention
        self.cross_attention_norm, self.cross_attention = norms[1], cross_attention
        self.mlp_norm, self.mlp = norms[2], mlp
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        *,
        layer: int,
        slots: Slots,
        k_slots: Slots,
        memory: tuple[Tensor, Tensor],
        memory_slots: Slots,
        cache: Cache | None = None,
        tap: Tap | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        x = tapped(tap, "resid_pre", x)
        attended = self.attention(self.attention_norm(x), layer=layer, slots=slots, k_slots=k_slots, cache=cache, tap=tap)
        x = tapped(tap, "resid_mid", x + self.dropout(attended))
        crossing = None if tap is None else Scoped(tap, "cross_")  # its taps are cross_attention.q, ...
        read = self.cross_attention(
            self.cross_attention_norm(x), layer=layer, slots=slots, k_slots=memory_slots, memory=memory, tap=crossing
        )
        x = tapped(tap, "resid_cross", x + self.dropout(read))
        return tapped(tap, "resid_post", x + self.dropout(self.mlp(self.mlp_norm(x), tap)))
