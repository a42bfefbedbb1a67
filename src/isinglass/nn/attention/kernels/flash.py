"""Flash: exact attention in tiles, so that the N x N scores are never in memory.

What: for each tile of queries the tiles of keys are read in turn; a running maximum and a running sum make the softmax come out exact.
      The backward pass computes each tile again from what was kept: the output and one number per query. Tiles that the mask leaves
      empty are skipped; in tiles that it leaves full it is not asked.
Why: attention is bound by memory, not by arithmetic; and sparse masks save time as well. Written in torch to be read; `sdpa` is fused.
Math: per tile: m' = max(m, max s), l' = e^(m - m') l + sum e^(s - m'), o' = e^(m - m') o + e^(s - m') v; at the end o / l, L = m + ln l
      backward: p = e^(s - L), dv = p^T do, ds = p (do v^T - rowsum(do o))
Cost: 4 d_head FLOPs per score of a tile that is not empty (forward); memory O(N)
Used by: long contexts on hardware without a fused kernel, and readers
Paper: Dao et al. 2022, FlashAttention; Dao 2023, FlashAttention-2; Milakov and Gimelshein 2018 (online softmax)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from isinglass.core.errors import VariantError
from isinglass.nn.attention.kernel import Bias, Kernel
from isinglass.nn.attention.mask import Mask, Tile, visible
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(tile=5)


@dataclass(frozen=True)
class Tiles:
    """The attention matrix cut into squares of `size` queries and keys."""

    q_slots: Slots
    k_slots: Slots
    mask: Mask
    bias: Bias
    scale: float
    size: int

    def rows(self) -> Iterator[slice]:
        """The queries, `size` at a time."""
        return _cuts(self.q_slots, self.size)

    def columns(self, rows: slice) -> Iterator[tuple[slice, Tensor | None]]:
        """The keys that some of these queries see, `size` at a time.

        With them what is visible, (#batch, 1, query, key), or None for everything.
        """
        span = _span(self.q_slots, rows)
        for columns in _cuts(self.k_slots, self.size):
            kind = self.mask.tile(span, _span(self.k_slots, columns))
            keys = self.k_slots.part(columns)
            padded = keys.valid is not None and not bool(keys.valid.all())
            if kind is Tile.FULL and not padded:
                yield columns, None
            elif kind is not Tile.EMPTY:
                allowed = visible(self.mask, self.q_slots.part(rows), keys)
                if bool(allowed.any()):
                    yield columns, allowed[:, None]

    def scores(self, q: Tensor, k: Tensor, rows: slice, columns: slice, allowed: Tensor | None) -> Tensor:
        """One tile of scores from its queries and keys, in fp32 at least."""
        k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
        scores = _precise(q) @ _precise(k).transpose(-1, -2) * self.scale
        added = self.bias(q, k, self.q_slots.part(rows), self.k_slots.part(columns))
        if added is not None:
            scores = scores + added
        return scores if allowed is None else scores.masked_fill(~allowed, float("-inf"))


class FlashAttention(torch.autograd.Function):
    """apply(tiles, q, k, v, *weights): the weights are those the bias reads, so that they get their gradient."""

    @staticmethod
    def forward(ctx: Any, tiles: Tiles, q: Tensor, k: Tensor, v: Tensor, *weights: Tensor) -> Tensor:
        out, log_sums = torch.zeros_like(q), _precise(q.new_zeros(*q.shape[:3], 1))
        for rows in tiles.rows():
            out[:, :, rows], log_sums[:, :, rows] = _online_softmax(tiles, q[:, :, rows], k, v, rows)
        ctx.tiles = tiles
        ctx.save_for_backward(q, k, v, out, log_sums, *weights)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        q, k, v, out, log_sums, *weights = ctx.saved_tensors
        inputs = [q, k, v, *weights]
        gradients = [torch.zeros_like(x, dtype=_precise(x).dtype) for x in inputs]
        for rows in ctx.tiles.rows():
            d_rows = _precise(d_out[:, :, rows])
            common = (d_rows * out[:, :, rows]).sum(-1, keepdim=True)
            for columns, allowed in ctx.tiles.columns(rows):
                with torch.enable_grad():
                    q_tile, k_tile = q[:, :, rows].detach().requires_grad_(), k[:, :, columns].detach().requires_grad_()
                    scores = ctx.tiles.scores(q_tile, k_tile, rows, columns, allowed)
                p = (scores.detach() - log_sums[:, :, rows]).exp()
                values = _precise(v[:, :, columns]).repeat_interleave(q.shape[1] // v.shape[1], dim=1)
                d_scores = p * (d_rows @ values.transpose(-1, -2) - common)
                # through the product q k^T and, whatever it is, the bias
                d_q, d_k, *d_weights = torch.autograd.grad(scores, [q_tile, k_tile, *weights], d_scores, allow_unused=True)
                gradients[0][:, :, rows] += d_q
                gradients[1][:, :, columns] += d_k
                gradients[2][:, :, columns] += (p.transpose(-1, -2) @ d_rows).unflatten(1, (v.shape[1], -1)).sum(2)
                for total, part in zip(gradients[3:], d_weights, strict=True):
                    total += 0 if part is None else part
        return None, *(gradient.to(x.dtype) for gradient, x in zip(gradients, inputs, strict=True))


def _online_softmax(tiles: Tiles, q: Tensor, k: Tensor, v: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
    """The output of one tile of queries, and the logarithm of its sums of exponentials; zeros where a query sees nothing."""
    out, total = torch.zeros_like(_precise(q)), _precise(q.new_zeros(*q.shape[:3], 1))
    top = torch.full_like(total, float("-inf"))
    for columns, allowed in tiles.columns(rows):
        scores = tiles.scores(q, k[:, :, columns], rows, columns, allowed)
        new_top = top.maximum(scores.amax(-1, keepdim=True))
        finite = new_top.masked_fill(new_top == float("-inf"), 0.0)  # -inf - -inf would be NaN
        p, shrink = (scores - finite).exp(), (top - finite).exp()
        total = total * shrink + p.sum(-1, keepdim=True)
        out = out * shrink + p @ _precise(v[:, :, columns]).repeat_interleave(q.shape[1] // v.shape[1], dim=1)
        top = new_top
    nothing = total == 0
    total = total.masked_fill(nothing, 1.0)
    return out / total, top.masked_fill(nothing, 0.0) + total.log()


def _precise(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _cuts(slots: Slots, size: int) -> Iterator[slice]:
    time = slots.position.shape[1]
    return (slice(start, min(start + size, time)) for start in range(0, time, size))


def _span(slots: Slots, places: slice) -> range:
    """The positions of these places in all rows, and those between: what holds for all of them holds for each row."""
    return slots.once(("span", places.start, places.stop), lambda: _between(slots.position[:, places]))


def _between(positions: Tensor) -> range:
    low, high = positions.aminmax()
    return range(int(low), int(high) + 1)


class Flash(Kernel):
    def __init__(self, tile: int) -> None:
        self.tile = tile

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, q_slots: Slots, k_slots: Slots, mask: Mask, bias: Bias, scale: float) -> Tensor:
        tiles = Tiles(q_slots, k_slots, mask, bias, scale, self.tile)
        return FlashAttention.apply(tiles, q, k, v, *trained_weights(bias))


def trained_weights(bias: Bias) -> list[nn.Parameter]:
    """The weights of the position that a bias is a method of."""
    owner = getattr(bias, "__self__", None)
    return [weight for weight in owner.parameters() if weight.requires_grad] if isinstance(owner, nn.Module) else []


def build(dims: object, tile: int = 256) -> Kernel:
    """`tile` queries meet `tile` keys at a time."""
    if tile < 1:
        raise VariantError(f"flash: tile = {tile!r}, expected at least 1")
    return Flash(tile)
