"""The attention layer: project, place, attend, project back. Everything that varies is passed in."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from isinglass.core.errors import VariantError
from isinglass.nn.adapter import AttentionAdapter, adapters_on
from isinglass.nn.attention.cache import Cache
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.kernel import Kernel
from isinglass.nn.attention.kernels.reference import attention_scores, attention_weights, weighted_sum
from isinglass.nn.attention.mask import Mask
from isinglass.nn.attention.position import Position
from isinglass.nn.attention.slots import Slots
from isinglass.nn.fused import Joint
from isinglass.nn.tap import Tap, tapped


@dataclass(frozen=True)
class Parts:
    """What one layer's attention is made of."""

    position: Position
    mask: Mask
    kernel: Kernel

    def __post_init__(self) -> None:
        reason = self.kernel.supports(self.mask, self.position)
        if reason:
            raise VariantError(f"the kernel {type(self.kernel).__name__.lower()} cannot be used here: {reason}")


class Attention(nn.Module):
    """Multi-head attention with n_heads query heads over n_kv_heads key and value heads (Vaswani 2017, Ainslie 2023).

    Scores are multiplied by `scale`; None means 1 / sqrt(d_head), T5 uses 1.

    Self-attention: `attention(x, layer=0, slots=slots, k_slots=slots)`. Cross-attention takes keys and values from elsewhere:

        memory = cross.remember(encoded)                                            # once per source text
        cross(x, layer=0, slots=slots, k_slots=encoder_slots, memory=memory)        # in every pass and step

    with a mask such as `full` (padding of the source is hidden by `encoder_slots`), no cache, and `Scoped(tap, "cross_")` as its tap, which
    names what it shows `cross_attention.q` and so on. Cross-attention has two inputs, so its projections cannot be joined by models.pack.

    >>> import torch
    >>> from isinglass.nn.attention import kernels, masks, positions
    >>> dims = Dims(d_model=8, n_heads=2, n_kv_heads=2, d_head=4, context_length=16)
    >>> slots, source_slots = Slots(torch.arange(3)[None]), Slots(torch.arange(5)[None])
    >>> parts = Parts(*(family.resolve(name, dims) for family, name in ((positions.family, "none"), (masks.family, "full"),
    ...                                                                 (kernels.family, "sdpa"))))
    >>> cross, source = Attention(dims, parts, "none"), torch.randn(1, 5, 8)
    >>> cross(torch.randn(1, 3, 8), layer=0, slots=slots, k_slots=source_slots, memory=cross.remember(source)).shape
    torch.Size([1, 3, 8])
    """

    def __init__(self, dims: Dims, parts: Parts, bias: str, *, scale: float | None = None) -> None:
        super().__init__()
        self.dims, self.parts = dims, parts
        d_q, d_kv, on_qkv = dims.n_heads * dims.d_head, dims.n_kv_heads * dims.d_head, bias != "none"
        self.q_proj = nn.Linear(dims.d_model, d_q, bias=on_qkv)
        self.k_proj = nn.Linear(dims.d_model, d_kv, bias=on_qkv)
        self.v_proj = nn.Linear(dims.d_model, d_kv, bias=on_qkv)
        self.o_proj = nn.Linear(d_q, dims.d_model, bias=bias == "all")
        self.joint: Joint | None = None  # set by models.pack
        self.adapter: AttentionAdapter | None = None  # set by an adapter such as prefix
        self.scale = dims.d_head**-0.5 if scale is None else scale

    def project(self, x: Float[Tensor, "batch time d_model"]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (batch, heads, time, d_head)."""
        if self.joint is not None:
            # split before heads: gradients of three strided parts would be copied twice (LOG.md)
            q, k, v = (self.heads(part) for part in self.joint(x))
            return q, k, v
        return self.heads(self.q_proj(x)), *self.remember(x)

    def remember(self, source: Float[Tensor, "batch key d_model"]) -> tuple[Tensor, Tensor]:
        """Keys and values of `source`, each (batch, kv_heads, key, d_head): what cross-attention reads, made once, used in every step."""
        return self.heads(self.k_proj(source)), self.heads(self.v_proj(source))

    def heads(self, x: Float[Tensor, "batch time width"]) -> Float[Tensor, "batch heads time d_head"]:
        """Side by side -> one behind the other."""
        return x.unflatten(-1, (-1, self.dims.d_head)).transpose(1, 2)

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        *,
        layer: int,
        slots: Slots,
        k_slots: Slots,
        cache: Cache | None = None,
        tap: Tap | None = None,
        memory: tuple[Tensor, Tensor] | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """`k_slots` are the slots of all keys, the cached ones first; without a cache they are `slots`, with `memory` those of its source.

        `memory` are the keys and values of another text (`remember`); without one they are made from x.
        """
        q, k, v = self.project(x) if memory is None else (self.heads(self.q_proj(x)), *memory)
        q, k = tapped(tap, "attention.q_raw", q), tapped(tap, "attention.k_raw", k)
        q, k = self.parts.position.rotate(q, slots), self.parts.position.rotate(k, slots if memory is None else k_slots)
        q, k, v = tapped(tap, "attention.q", q), tapped(tap, "attention.k", k), tapped(tap, "attention.v", v)
        if cache is not None:
            k, v = cache.update(layer, k, v)
        z = tapped(tap, "attention.z", self.attend(q, k, v, slots, k_slots, tap))
        return tapped(tap, "attention.out", self.o_proj(z.transpose(1, 2).flatten(2)))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, slots: Slots, k_slots: Slots, tap: Tap | None) -> Tensor:
        """The kernel's answer; the reference, step by step, when scores or weights are looked at."""
        mask, bias = self.parts.mask, self.parts.position.bias
        if self.adapter is not None and adapters_on():
            k, v, k_slots, mask, bias = self.adapter(k, v, k_slots, mask, self.parts.position)
        if tap is None or not (tap.wants("attention.scores") or tap.wants("attention.weights")):
            return self.parts.kernel.attend(q, k, v, q_slots=slots, k_slots=k_slots, mask=mask, bias=bias, scale=self.scale)
        scores = attention_scores(q, k, q_slots=slots, k_slots=k_slots, mask=mask, bias=bias, scale=self.scale)
        scores = tapped(tap, "attention.scores", scores)
        return weighted_sum(tapped(tap, "attention.weights", attention_weights(scores)), v)
