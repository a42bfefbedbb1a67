"""Prefix: trained keys and values that stand before the text in every attention layer.

What: each attention layer gets `length` keys and values of its own, seen by every token whatever the mask. They stand nowhere: they are
      neither rotated nor biased, take no room in the context or the cache, and the text still counts from position 0.
Why: the whole model is steered by a few vectors per layer, as a prompt steers it, but by vectors that no token has; the weights stay.
Math: softmax([q P_k^T, q k^T] * scale) [P_v; v], with P_k and P_v of length x d_head for each key-value head
Cost: 2 length n_kv_heads d_head weights per attention layer; attention over length more keys; it cannot be merged
Used by: control of one frozen model for many tasks
Paper: Li and Liang 2021, Prefix-Tuning: Optimizing Continuous Prompts for Generation
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MethodType

import torch
from torch import Tensor, nn

from isinglass.core.errors import VariantError
from isinglass.nn.adapter import Adapter, AttentionAdapter, Site
from isinglass.nn.attention.kernel import Bias
from isinglass.nn.attention.layer import Attention
from isinglass.nn.attention.mask import Mask, Tile
from isinglass.nn.attention.position import Position
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(length=3)


@dataclass(frozen=True)
class AfterPrefix(Mask):
    """`inner` for the text; negative positions, which are the prefix's, are seen by all.

    Its reach is without end: the prefix is seen from however far away.
    """

    inner: Mask

    @property
    def causal(self) -> bool:  # type: ignore[override]
        return self.inner.causal

    def allow(self, q: Slots, k: Slots) -> Tensor:
        return self.inner.allow(q, k) | (k.position < 0)[:, None, :]

    def tile(self, q: range, k: range) -> Tile:
        if k[-1] < 0:
            return Tile.FULL
        return self.inner.tile(q, k) if k[0] >= 0 else Tile.MIXED


def bias_after_prefix(position: Position, q: Tensor, k: Tensor, q_slots: Slots, k_slots: Slots) -> Tensor | None:
    """The bias of the position for the text, none for the prefix."""
    added = position.bias(q, k, q_slots, k_slots)
    return None if added is None else added.masked_fill((k_slots.position < 0)[:, None, None, :], 0.0)


class PrefixKeys(AttentionAdapter):
    """`k` and `v` are (kv_heads, length, d_head), in fp32 whatever the model's dtype."""

    def __init__(self, source: Prefix, attention: Attention, generator: torch.Generator) -> None:
        super().__init__(source)
        dims, device = attention.dims, attention.o_proj.weight.device
        start = 0.02 * torch.randn(2, dims.n_kv_heads, source.length, dims.d_head, generator=generator)
        self.k, self.v = (nn.Parameter(half.clone().to(device)) for half in start)

    def forward(self, k: Tensor, v: Tensor, k_slots: Slots, mask: Mask, position: Position) -> tuple[Tensor, Tensor, Slots, Mask, Bias]:
        length = self.k.shape[1]
        k, v = (torch.cat([own.to(x.dtype).expand(len(x), -1, -1, -1), x], dim=2) for own, x in ((self.k, k), (self.v, v)))
        # once per pass, so that all layers share one mask; a method of the position, so that kernels find its weights
        slots = k_slots.once(("after prefix", length), lambda: _after_prefix(k_slots, length))
        return k, v, slots, AfterPrefix(mask), MethodType(bias_after_prefix, position)


def _after_prefix(slots: Slots, length: int) -> Slots:
    """Slots at positions -length .. -1, then those given."""
    rows, device = slots.position.shape[0], slots.position.device

    def before(x: Tensor | None, fill: int) -> Tensor | None:
        return None if x is None else torch.cat([torch.full((rows, length), fill, dtype=x.dtype, device=device), x], dim=1)

    own = torch.arange(-length, 0, device=device).expand(rows, -1)
    return Slots(torch.cat([own, slots.position], dim=1), before(slots.valid, 1), before(slots.document, 0), slots.prefix_length)


@dataclass(frozen=True)
class Prefix(Adapter):
    """`length` keys and values in every attention layer, cross-attention included."""

    length: int

    @property
    def expression(self) -> str:
        return f"prefix(length={self.length})"

    def attach(self, sites: Sequence[Site], generator: torch.Generator) -> None:
        chosen = [(site.name, site.module) for site in sites if isinstance(site.module, Attention)]
        if not chosen:
            raise VariantError("prefix: the model has no attention layer to stand in")
        for name, attention in chosen:
            parts = attention.parts
            reason = parts.kernel.supports(AfterPrefix(parts.mask), parts.position)
            if reason:
                raise VariantError(
                    f"prefix: the kernel {type(parts.kernel).__name__.lower()} of {name} cannot read one: {reason}",
                    hint="give the model attention.kernel = 'sdpa'",
                )
        for _, attention in chosen:
            attention.adapter = PrefixKeys(self, attention, generator)


def build(length: int = 16) -> Adapter:
    """`length` keys and values per layer and key-value head."""
    if length < 1:
        raise VariantError(f"prefix: length = {length!r}, expected at least 1", hint="length=16 is a common start")
    return Prefix(length)
