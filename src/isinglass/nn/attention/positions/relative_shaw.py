"""Shaw: a trained vector per distance, multiplied with the query: Q K + Q R.

What: the score of a pair gains the product of the query with the vector of their distance; beyond `clip` all distances share one.
Why: the first scheme to put distance into the score itself; the query decides how much distance matters to it.
Math: q_i (k_j + R[clip(j - i)]) / sqrt(d_head)
Cost: (2 clip + 1) d_head weights, shared by all heads; N (2 clip + 1) d_head more multiplications per head
Used by: Music Transformer; the class notes call it the Transformer-XL score, which has two more terms (relative_xl)
Paper: Shaw et al. 2018, Self-Attention with Relative Position Representations, equation 5
"""

import torch
from torch import Tensor, nn

from isinglass.core.errors import VariantError
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.position import Position, offsets
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(clip=4)


class RelativeShaw(Position):
    """Row clip + (j - i) of `weight`, (2 clip + 1, d_head), belongs to the offset j - i. The paper's term for values is left out."""

    def __init__(self, d_head: int, clip: int) -> None:
        super().__init__()
        self.clip = clip
        self.weight = nn.Parameter(torch.zeros(2 * clip + 1, d_head))

    def bias(self, q: Tensor, k: Tensor, q_slots: Slots, k_slots: Slots) -> Tensor:
        by_offset = q @ self.weight.t() * q.shape[-1] ** -0.5
        rows = self.clip + offsets(q_slots, k_slots).clamp(-self.clip, self.clip)
        return by_offset.gather(-1, rows[:, None].expand(*q.shape[:2], -1, -1))


def build(dims: Dims, clip: int = 16) -> Position:
    """Distances beyond `clip` look alike."""
    if clip < 1:
        raise VariantError(f"relative_shaw: clip = {clip!r}, expected at least 1")
    return RelativeShaw(dims.d_head, clip)
