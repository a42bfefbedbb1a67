"""T5 bias: one trained number per head and distance, where far distances share a number.

What: distances fall into buckets, one each while they are small, then ever wider; each head adds its number of the bucket to the score.
Why: order costs a few hundred weights, needs no length limit, and all layers of T5 share them.
Math: score + W[bucket(j - i), head]; with n buckets per direction and e = n / 2: bucket(d) = d below e, else
      min(n - 1, e + floor(ln(d / e) / ln(max_distance / e) * (n - e)))
Cost: num_buckets * n_heads weights; one look-up per score
Used by: T5, without 1 / sqrt(d_head)
Paper: Raffel et al. 2020, Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer, section 2.1
"""

import math

import torch
from jaxtyping import Int
from torch import Tensor, nn

from isinglass.core.errors import VariantError
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.position import Position, offsets
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(num_buckets=8, max_distance=12)


class RelativeT5(Position):
    """`weight` is (num_buckets, n_heads)."""

    def __init__(self, n_heads: int, num_buckets: int, max_distance: int, bidirectional: bool) -> None:
        super().__init__()
        self.num_buckets, self.max_distance, self.bidirectional = num_buckets, max_distance, bidirectional
        self.weight = nn.Parameter(torch.zeros(num_buckets, n_heads))

    def bucket(self, offset: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """The row of `weight` for each key minus query position. Without `bidirectional` all later keys share bucket 0."""
        if not self.bidirectional:
            return self._by_distance(-offset.clamp(max=0), self.num_buckets)
        half = self.num_buckets // 2
        return self._by_distance(offset.abs(), half) + (offset > 0) * half

    def _by_distance(self, distance: Tensor, buckets: int) -> Tensor:
        exact = buckets // 2
        # fp32, and in this order, as the published weights were trained: a last bit decides where a bucket begins
        growth = (distance.clamp(min=exact).float() / exact).log() / math.log(self.max_distance / exact) * (buckets - exact)
        return torch.where(distance < exact, distance, (exact + growth.long()).clamp(max=buckets - 1))

    def bias(self, q: Tensor, k: Tensor, q_slots: Slots, k_slots: Slots) -> Tensor:
        buckets = q_slots.once((id(self), id(k_slots)), lambda: self.bucket(offsets(q_slots, k_slots)))
        return nn.functional.embedding(buckets, self.weight).movedim(-1, 1)


def build(dims: Dims, num_buckets: int = 32, max_distance: int = 128, bidirectional: bool = True) -> Position:
    """`bidirectional` gives half of the buckets to keys that come after the query: True in encoders, False in decoders."""
    ways = 2 if bidirectional else 1
    if num_buckets % ways or num_buckets < 2 * ways:
        raise VariantError(f"relative_t5: num_buckets = {num_buckets}, expected at least {2 * ways}{', even' if bidirectional else ''}")
    if max_distance <= num_buckets // ways // 2:
        raise VariantError(
            f"relative_t5: max_distance = {max_distance}, expected more than the {num_buckets // ways // 2} distances with their own bucket"
        )
    return RelativeT5(dims.n_heads, num_buckets, max_distance, bidirectional)
