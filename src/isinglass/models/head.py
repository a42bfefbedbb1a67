"""What every head is: hidden states of a text in, an answer about its tokens or about the whole text out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from isinglass.nn.attention.slots import Slots


@dataclass(frozen=True)
class HeadDims:
    """What every head is built from: widths, the eps of its norms and its dropout."""

    d_model: int
    vocab_size: int
    norm_eps: float
    dropout: float


class Head(nn.Module, ABC):
    """`slots` tell padding from text; `embedding` is the model's token embedding, which some heads use the other way round."""

    @abstractmethod
    def forward(
        self, hidden: Float[Tensor, "batch time d_model"], slots: Slots, embedding: Float[Tensor, "vocab d_model"]
    ) -> Float[Tensor, "batch *answer"]: ...
