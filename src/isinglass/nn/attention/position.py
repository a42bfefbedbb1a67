"""Position: what the order of tokens adds. The defaults do nothing; a scheme fills in the one place it acts at."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Tensor, nn

from isinglass.nn.attention.slots import Slots


class Position(nn.Module, ABC):
    """May add to the token embeddings, rotate queries and keys, or bias the scores.

    Tables are made in fp32 from the slots of the call; they are never buffers, which a cast to bf16 would blur.
    """

    def embed(self, slots: Slots) -> Float[Tensor, "batch time d_model"] | None:
        """Added to the token embeddings; None adds nothing."""
        return None

    def rotate(self, x: Float[Tensor, "batch heads time d_head"], slots: Slots) -> Float[Tensor, "batch heads time d_head"]:
        """Applied to queries and keys alike."""
        return x

    def bias(self, q: Tensor, k: Tensor, q_slots: Slots, k_slots: Slots) -> Float[Tensor, "#batch #heads query key"] | None:
        """Added to the scores; called once per tile by kernels that work in tiles. None adds nothing."""
        return None


def distinct_rows(slots: Slots) -> Int[Tensor, "#batch time"]:
    """The positions; one row where all rows of the batch count alike (as Slots.first makes them)."""
    return slots.position[:1] if slots.position.stride(0) == 0 else slots.position


def offsets(q_slots: Slots, k_slots: Slots) -> Int[Tensor, "#batch query key"]:
    """How far each key stands ahead of each query: j - i. One row when all rows of the batch count alike."""
    q, k = q_slots.position, k_slots.position
    if q.stride(0) == 0 and k.stride(0) == 0:
        q, k = q[:1], k[:1]
    return k[:, None, :] - q[:, :, None]


class Scaling(ABC):
    """How rotary frequencies are stretched for inputs longer than those trained on."""

    magnitude: float = 1.0  # what rotated queries and keys are multiplied by

    @abstractmethod
    def __call__(self, frequencies: Float[Tensor, "half"]) -> Float[Tensor, "half"]: ...
