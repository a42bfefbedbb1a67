"""Linear: the exponential of a product becomes a product of features, so that keys and values are summed once for all queries.

What: not softmax attention: each key counts with phi(q) phi(k) instead of exp(q k). A causal text needs one running sum of phi(k) v.
Why: cost and memory grow with the length instead of its square, and a step of generation costs the same however long the text is.
Math: o_i = phi(q_i) S_i / phi(q_i) z_i, S_i = sum over j <= i of phi(k_j) v_j, z_i = sum over j <= i of phi(k_j), phi(x) = elu(x) + 1.
      There is no scale: it would cancel in linear features, and phi is not sharp
Cost: 4 N d_head (d_head + chunk) FLOPs per head; the state is d_head (d_head + 1) numbers
Used by: models trained with it; RetNet, RWKV and Mamba-2 add a decay to the same state
Paper: Katharopoulos et al. 2020, Transformers are RNNs
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from isinglass.nn.attention.kernel import Bias, Kernel, adds_bias
from isinglass.nn.attention.mask import Mask, visible
from isinglass.nn.attention.masks.causal import Causal
from isinglass.nn.attention.masks.full import Full
from isinglass.nn.attention.position import Position
from isinglass.nn.attention.slots import Slots, first_place

EXAMPLE = dict()
CHUNK = 64  # queries that are compared with keys directly; those before are in the state


def features(x: Tensor) -> Tensor:
    """phi(x) = elu(x) + 1: positive, and nowhere flat."""
    return F.elu(x) + 1


def quadratic(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
    """The definition: all weights written out. q and k are features; the last column of v is 1, so that it sums the weights."""
    return (q @ k.transpose(-1, -2) * allowed) @ v


def recurrent(q: Tensor, k: Tensor, v: Tensor, start: int) -> Tensor:
    """Token by token, as a recurrent network: what came before is the state, (batch, heads, d_head, d_head + 1)."""
    state = k[:, :, :start].transpose(-1, -2) @ v[:, :, :start]
    outs = []
    for i in range(q.shape[2]):
        state = state + k[:, :, start + i, :, None] * v[:, :, start + i, None, :]
        outs.append(q[:, :, i, None] @ state)
    return torch.cat(outs, dim=2)


def chunked(q: Tensor, k: Tensor, v: Tensor, start: int) -> Tensor:
    """The same in parallel: within a chunk by its weights, from earlier chunks by the state they leave."""
    time, state = q.shape[2], k[:, :, :start].transpose(-1, -2) @ v[:, :, :start]
    q, k, v = (
        F.pad(x, (0, 0, 0, -time % CHUNK)).unflatten(2, (-1, CHUNK))
        for x in (q, k[:, :, start : start + time], v[:, :, start : start + time])
    )
    left = k.transpose(-1, -2) @ v
    before = state[:, :, None] + left.cumsum(2) - left
    within = torch.ones(CHUNK, CHUNK, dtype=torch.bool, device=q.device).tril()
    return (quadratic(q, k, v, within) + q @ before).flatten(2, 3)[:, :, :time]


class Linear(Kernel):
    """`ordered` sums over causal rows that count up; None writes all weights out."""

    exact = False

    def __init__(self, ordered: Callable[[Tensor, Tensor, Tensor, int], Tensor] | None) -> None:
        self.ordered = ordered
        self.oracle = None if ordered is None else Linear(None)

    def supports(self, mask: Mask, position: Position) -> str | None:
        if adds_bias(position):
            return f"it never writes the scores to which {type(position).__name__} adds; positions that rotate or embed work"
        return None if mask in (Full(), Causal()) else "it keeps one sum over all that came before, so its masks are full and causal"

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, q_slots: Slots, k_slots: Slots, mask: Mask, bias: Bias, scale: float) -> Tensor:
        group, dtype = q.shape[1] // k.shape[1], q.dtype
        q, k, v = features(q.float()), features(k.float()), F.pad(v.float(), (0, 1), value=1.0)
        if k_slots.valid is not None:
            k = k * k_slots.valid[:, None, :, None]
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        start = q_slots.once(("first place", id(k_slots)), lambda: first_place(q_slots, k_slots))
        if self.ordered is not None and mask == Full():
            sums = q @ (k.transpose(-1, -2) @ v)
        elif self.ordered is not None and start is not None:
            sums = self.ordered(q, k, v, start)
        else:
            sums = quadratic(q, k, v, visible(mask, q_slots, k_slots)[:, None])
        # a query that sees nothing has sums of 0, and 0 / 1 is the 0 it should get, forward and backward
        total = sums[..., -1:]
        return (sums[..., :-1] / total.masked_fill(total == 0, 1.0)).to(dtype)


FORMS = dict(chunked=chunked, recurrent=recurrent, quadratic=None)


def build(dims: object, form: Literal["chunked", "recurrent", "quadratic"] = "chunked") -> Kernel:
    """All forms give the same numbers: `chunked` is the fast one, `recurrent` goes token by token, `quadratic` writes all weights out."""
    return Linear(FORMS[form])
