"""What every feed-forward layer is: d_model -> d_ff -> d_model, at each position alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from isinglass.nn.tap import Tap


@dataclass(frozen=True)
class FeedForwardDims:
    """Widths every feed-forward layer is built from."""

    d_model: int
    d_ff: int


class FeedForward(nn.Module, ABC):
    """Taps: `mlp.gate` and `mlp.up` (gated kinds), `mlp.pre` (what enters the last projection), `mlp.post` (what the layer adds)."""

    down_proj: nn.Module

    @abstractmethod
    def forward(self, x: Float[Tensor, "batch time d_model"], tap: Tap | None = None) -> Float[Tensor, "batch time d_model"]: ...
