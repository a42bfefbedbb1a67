"""Pooling: one vector for a text, from those of its tokens."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from isinglass.core.errors import VariantError, unknown

Valid = Bool[Tensor, "batch time"] | None  # False = padding; None: no padding


def mean(hidden: Float[Tensor, "batch time d_model"], valid: Valid) -> Float[Tensor, "batch d_model"]:
    """The mean over the tokens that are no padding (Reimers and Gurevych 2019, Sentence-BERT); a row of padding alone gives zeros."""
    if valid is None:
        return hidden.mean(dim=1)
    return hidden.masked_fill(~valid[..., None], 0).sum(dim=1) / valid.sum(dim=1, keepdim=True).clamp(min=1)


def maximum(hidden: Float[Tensor, "batch time d_model"], valid: Valid) -> Float[Tensor, "batch d_model"]:
    """The largest value of each feature over the tokens that are no padding; a row of padding alone gives zeros."""
    if valid is None:
        return hidden.amax(dim=1)
    return hidden.masked_fill(~valid[..., None], float("-inf")).amax(dim=1).masked_fill(~valid.any(dim=1, keepdim=True), 0)


def first(hidden: Float[Tensor, "batch time d_model"], valid: Valid) -> Float[Tensor, "batch d_model"]:
    """The first token that is no padding: [CLS] in BERT."""
    if valid is None:
        return hidden[:, 0]
    return hidden[torch.arange(len(hidden), device=hidden.device), valid.long().argmax(dim=1)]


def last(hidden: Float[Tensor, "batch time d_model"], valid: Valid) -> Float[Tensor, "batch d_model"]:
    """The last token that is no padding: the only one that has seen the whole text in a decoder."""
    if valid is None:
        return hidden[:, -1]
    places = torch.arange(hidden.shape[1], device=hidden.device)
    return hidden[torch.arange(len(hidden), device=hidden.device), (places * valid).argmax(dim=1)]


POOLINGS: dict[str, Callable[[Tensor, Valid], Tensor]] = {"mean": mean, "max": maximum, "first": first, "last": last}


def pooling(name: str) -> Callable[[Tensor, Valid], Tensor]:
    """The function of that name; VariantError lists the known ones."""
    if name not in POOLINGS:
        raise unknown("pooling", name, POOLINGS, error=VariantError)
    return POOLINGS[name]


class Pooler(nn.Module):
    """tanh(dense(first token)): what BERT trained its [CLS] with (Devlin et al. 2018, section 3.1)."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.dense = nn.Linear(d_model, d_model)

    def forward(self, hidden: Float[Tensor, "batch time d_model"], valid: Valid) -> Float[Tensor, "batch d_model"]:
        return torch.tanh(self.dense(first(hidden, valid)))
