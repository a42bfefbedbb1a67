"""SDPA: torch's fused attention, the default.

What: one call to `torch.nn.functional.scaled_dot_product_attention`, which picks a fused kernel for the device.
Why: never writes the N x N weights to memory; on the CPU it is a tiled online softmax.
Math: the same as the reference
Cost: 4 N^2 d_head FLOPs per head, memory O(N)
Used by: every layer unless its weights are asked for
Paper: Dao et al. 2022, FlashAttention
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from isinglass.nn.attention.kernel import Bias, Kernel
from isinglass.nn.attention.mask import Mask, visible
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict()


class SDPA(Kernel):
    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, q_slots: Slots, k_slots: Slots, mask: Mask, bias: Bias, scale: float) -> Tensor:
        added = bias(q, k, q_slots, k_slots)
        hidden = hidden_places(mask, q_slots, k_slots, q.dtype)
        if added is not None:
            hidden = added.to(q.dtype) if hidden is None else hidden + added.to(q.dtype)
        group = q.shape[1] // k.shape[1]
        if q.shape[2] == 1 and hidden is None:
            # one query: its heads of a group are rows of one small matrix, so keys need no copying
            rows = q.view(q.shape[0], k.shape[1], group, q.shape[3])
            return F.scaled_dot_product_attention(rows, k, v, scale=scale).view(q.shape)
        out = self.weighted(q, k, v, hidden, scale)
        nothing = q_slots.once((mask, id(k_slots), "nothing"), lambda: _sees_nothing(mask, q_slots, k_slots, hidden))
        return out if nothing is None else out.masked_fill(nothing, 0.0)

    def weighted(self, q: Tensor, k: Tensor, v: Tensor, hidden: Tensor | None, scale: float) -> Tensor:
        """softmax(scale q k^T + hidden) v; a query to which all is hidden may get anything."""
        group = q.shape[1] // k.shape[1]
        if group > 1:
            k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=hidden, scale=scale)


def hidden_places(mask: Mask, q: Slots, k: Slots, dtype: torch.dtype) -> Tensor | None:
    """-inf at hidden places, 0 at others, (batch, 1, query, key); None when everything may be seen. Made once per call of a model."""
    return q.once((mask, id(k), "sdpa", dtype), lambda: _hidden(mask, q, k, dtype))


def _hidden(mask: Mask, q: Slots, k: Slots, dtype: torch.dtype) -> Tensor | None:
    allowed = visible(mask, q, k)
    # inside a compiled program nothing may depend on what tensors hold
    if not torch.compiler.is_compiling() and bool(allowed.all()):
        return None
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(~allowed, float("-inf"))[:, None]


def _sees_nothing(mask: Mask, q: Slots, k: Slots, hidden: Tensor | None) -> Tensor | None:
    """Queries that may see no key at all, (batch, 1, query, 1); None when there are none."""
    if hidden is None:
        return None
    rows = ~visible(mask, q, k).any(dim=-1)
    return rows[:, None, :, None] if torch.compiler.is_compiling() or bool(rows.any()) else None


def build(dims: object) -> Kernel:
    return SDPA()
