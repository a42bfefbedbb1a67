"""The sdpa kernel with our own C++ for short texts: it keeps the weights of each head, which then fit a cache."""

from __future__ import annotations

import torch
from torch import Tensor

from isinglass.nn.attention.kernels.sdpa import SDPA

MOST_KEYS = 128  # kept weights are memory: n_heads x 128 numbers a token are no more than what the blocks keep anyway


class NativeSDPA(SDPA):
    """Equal to `sdpa` but for rounding; `native.load("short_attention")` comes first. What the C++ does not cover is torch's as before."""

    def weighted(self, q: Tensor, k: Tensor, v: Tensor, hidden: Tensor | None, scale: float) -> Tensor:
        short = max(q.shape[2], k.shape[2]) <= MOST_KEYS and q.shape[3] % 16 == 0
        plain = q.dtype == torch.float32 and (hidden is None or not hidden.requires_grad)
        if short and plain and torch.is_grad_enabled():
            return torch.ops.isinglass.short_attention(q, k, v, hidden, scale)
        return super().weighted(q, k, v, hidden, scale)
