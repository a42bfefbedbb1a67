"""Rotary: turns each pair of query and key features by an angle that grows with the position.

What: features (m, m + d/2) are a point in the plane, turned by i * base^(-2m/d).
Why: the product of a turned query and key depends on their distance alone, no weights are needed, and cached keys stay valid.
Math: rotate(x)_i = x cos(i theta) + half_turn(x) sin(i theta), half_turn(a, b) = (-b, a), theta_m = base^(-2m/d)
Cost: 3 d_head operations per query and key
Used by: Llama, Mistral, SmolLM2, GPT-NeoX
Paper: Su et al. 2021, RoFormer
"""

import torch
from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.core.variants import Expression
from isinglass.nn.attention import scalings
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.position import Position, Scaling
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(base=10000.0)
NESTED = {"scaling": scalings.family}


class Rotary(Position):
    """The half-split layout of Llama checkpoints; GPT-J's interleaved pairs are the same up to an order of features."""

    def __init__(self, d_head: int, base: float, scaling: Scaling | None) -> None:
        super().__init__()
        self.d_head, self.base, self.scaling = d_head, base, scaling

    def frequencies(self, device: torch.device) -> Tensor:
        """Radians per position of each pair of features: shape (d_head / 2,), fp32."""
        # the power in fp32 as transformers computes it: a last bit here becomes 1e-4 in an angle at position 1000
        even = torch.arange(0, self.d_head, 2, dtype=torch.int64, device=device).float()
        frequencies = 1.0 / self.base ** (even / self.d_head)
        return frequencies if self.scaling is None else self.scaling(frequencies)

    def table(self, slots: Slots, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines, each (batch, 1, time, d_head), from fp32 angles."""
        angles = slots.position[:, None, :, None].float() * self.frequencies(slots.position.device)
        size = 1.0 if self.scaling is None else self.scaling.magnitude
        cos, sin = angles.cos() * size, angles.sin() * size
        return torch.cat([cos, cos], dim=-1).to(dtype), torch.cat([-sin, sin], dim=-1).to(dtype)

    def rotate(self, x: Tensor, slots: Slots) -> Tensor:
        cos, sin = slots.once((id(self), x.dtype), lambda: self.table(slots, x.dtype))
        first, second = x.chunk(2, dim=-1)
        # the sign that the half-turn needs is in the table
        return torch.addcmul(x * cos, torch.cat([second, first], dim=-1), sin)


def build(dims: Dims, base: float = 10000.0, scaling: Scaling | str | Expression | None = None) -> Position:
    """`base` sets the longest wavelength; `scaling` is one of linear, ntk, yarn and llama3, such as linear(factor=4.0)."""
    if dims.d_head % 2:
        raise VariantError(f"rotary: d_head = {dims.d_head} is odd, but features are turned in pairs")
    rule = None if scaling is None else scalings.family.resolve(scaling, dims, where="rotary scaling")
    return Rotary(dims.d_head, base, rule)
