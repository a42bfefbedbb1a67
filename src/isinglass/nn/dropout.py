"""Dropout: while training, each number is zero with probability p; the others grow by 1 / (1 - p) (Srivastava et al. 2014)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.core.errors import ConfigError


def dropout(x: Float[Tensor, "*shape"], p: float) -> Float[Tensor, "*shape"]:
    """x * keep / (1 - p), keep drawn from Bernoulli(1 - p): the expected value of each number stays what it was.

    `p` is a share, 0 <= p < 1, else ConfigError. The draw is from torch's seeded generator, because a pass that is computed again for its
    gradients gets the state of that one back, and so the same mask. On the CPU it is torch's own draw, number for number.

    >>> dropped = dropout(torch.ones(1000), p=0.2)
    >>> sorted(round(float(x), 2) for x in set(dropped.tolist()))
    [0.0, 1.25]
    """
    if not 0 <= p < 1:
        raise ConfigError(f"dropout = {p!r}, expected a share from 0 to below 1", hint="0.1 is what BERT was trained with")
    if p == 0:
        return x
    keep = torch.empty_like(x).bernoulli_(1 - p)
    return x * keep.div_(1 - p)


class Dropout(nn.Module):
    """`dropout` while training, nothing in eval mode."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return dropout(x, self.p) if self.training else x
