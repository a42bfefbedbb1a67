"""Kernel: how softmax(q k^T * scale + bias, masked) v is computed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from isinglass.nn.attention.mask import Mask
from isinglass.nn.attention.position import Position
from isinglass.nn.attention.slots import Slots

Bias = Callable[[Tensor, Tensor, Slots, Slots], Tensor | None]


class Kernel(ABC):
    """Every kernel takes grouped heads: query head h reads key and value head h // group."""

    exact: bool = True  # equals the reference but for rounding
    oracle: Kernel | None = None  # of a kernel that is not exact: the slow and obvious form of the sum it computes

    def supports(self, mask: Mask, position: Position) -> str | None:
        """None = yes; else the reason, which becomes the error text."""
        return None

    @abstractmethod
    def attend(
        self,
        q: Float[Tensor, "batch heads query d_head"],
        k: Float[Tensor, "batch kv_heads key d_head"],
        v: Float[Tensor, "batch kv_heads key d_head"],
        *,
        q_slots: Slots,
        k_slots: Slots,
        mask: Mask,
        bias: Bias,
        scale: float,
    ) -> Float[Tensor, "batch heads query d_head"]:
        """The attention output; a query that may see nothing gets zeros."""


def adds_bias(position: Position) -> bool:
    """Whether a position puts anything into the scores."""
    return type(position).bias is not Position.bias
