"""Transformer-XL: the score of content plus the score of distance, each with a preference that does not depend on the query.

What: waves of the distance are projected per head and multiplied with the query; u and v say what each head likes whoever asks.
Why: distances need no table and no limit, so cached segments can be attended to from the next one.
Math: ((q_i + u) k_j + (q_i + v) W r[i - j]) / sqrt(d_head), r the sinusoidal waves of a distance
Cost: d_model n_heads d_head weights and two vectors per head, shared by the layers; N (N + K) d_head more multiplications per head
Used by: Transformer-XL, XLNet
Paper: Dai et al. 2019, Transformer-XL, section 3.3
"""

import torch
from torch import Tensor, nn

from isinglass.core.errors import VariantError
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.position import Position, offsets
from isinglass.nn.attention.positions.sinusoidal import waves
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict()


class RelativeXL(Position):
    """`u` and `v` are (n_heads, d_head); `r_proj` projects d_model waves to the heads."""

    def __init__(self, dims: Dims, base: float) -> None:
        super().__init__()
        self.d_model, self.d_head, self.base = dims.d_model, dims.d_head, base
        self.u = nn.Parameter(torch.zeros(dims.n_heads, dims.d_head))
        self.v = nn.Parameter(torch.zeros(dims.n_heads, dims.d_head))
        self.r_proj = nn.Linear(dims.d_model, dims.n_heads * dims.d_head, bias=False)

    def bias(self, q: Tensor, k: Tensor, q_slots: Slots, k_slots: Slots) -> Tensor:
        """What is added to q k^T / sqrt(d_head)."""
        k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
        content = self.u[:, None] @ k.transpose(-1, -2)
        distance = -offsets(q_slots, k_slots)
        # each distance is projected and multiplied once, then looked up for every pair that has it
        nearest, farthest = int(distance.min()), int(distance.max())
        r = waves(torch.arange(nearest, farthest + 1, device=q.device), self.d_model, self.base).to(q.dtype)
        r = self.r_proj(r).unflatten(-1, (-1, self.d_head)).transpose(0, 1)
        by_distance = (q + self.v[:, None]) @ r.transpose(-1, -2)
        places = (distance - nearest)[:, None].expand(*q.shape[:2], -1, -1)
        return (content + by_distance.gather(-1, places)) * self.d_head**-0.5


def build(dims: Dims, base: float = 10000.0) -> Position:
    if dims.d_model % 2:
        raise VariantError(f"relative_xl: d_model = {dims.d_model} is odd, but waves come in pairs of sine and cosine")
    return RelativeXL(dims, base)
