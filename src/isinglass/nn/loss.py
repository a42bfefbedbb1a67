"""Cross-entropy: how surprised a model is by the token that came, in nats; written out, and in chunks that never hold all logits.

Both give the *sum* over the trained positions; whoever trains divides by their number, so that accumulation over unequal batches is exact.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from isinglass.core.errors import ConfigError, ShapeError, TrainingError

IGNORED = -100  # the target of a position that is not trained on; torch's own number, so that its functions agree
HELD = 256 * 49_152  # logits held at once, 50 MB in fp32; measured with a vocabulary of 49,152 and d_model 576: LOG.md, 2026-11-22


def cross_entropy(logits: Float[Tensor, "*batch vocab"], targets: Int[Tensor, "..."]) -> Float[Tensor, ""]:
    """Sum of -log softmax(logits)[target], in nats, over the targets that are not IGNORED; in fp32 at least.

    ShapeError when there is not one target for each row of logits. Nothing to train on gives 0, with zero gradients.

    >>> print(round(cross_entropy(torch.zeros(2, 3, 8), torch.tensor([[1, 7, IGNORED], [0, 3, 5]])).item() / 5, 4))  # ln 8
    2.0794
    """
    _one_target_each(logits.shape[:-1], targets)
    wide = _wide(logits)
    trained = targets != IGNORED
    chosen = wide.gather(-1, targets.where(trained, 0).unsqueeze(-1)).squeeze(-1)
    return (wide.logsumexp(-1) - chosen).where(trained, 0.0).sum()


def chunked_cross_entropy(
    hidden: Float[Tensor, "*batch d_model"],
    weight: Float[Tensor, "vocab d_model"],
    targets: Int[Tensor, "..."],
    *,
    bias: Float[Tensor, "vocab"] | None = None,
    chunk: int | None = None,
) -> Float[Tensor, ""]:
    """`cross_entropy(hidden @ weight.T + bias, targets)`, the same sum and the same gradients, `chunk` tokens at a time (None: as many as
    50 MB of logits hold).

    The logits of a chunk live until its gradients are added up, in the forward pass; memory grows with chunk x vocab, not tokens x vocab.
    Ignored positions cost nothing. Under autocast the products are in its dtype. Gradients of gradients are refused.
    ShapeError when there is not one target for each hidden state, ConfigError for a chunk below 1.

    Source: the idea of Liger Kernel's fused linear cross-entropy (Hsu et al. 2024).

    >>> hidden, weight, targets = torch.randn(2, 5, 4), torch.randn(9, 4), torch.randint(9, (2, 5))
    >>> torch.allclose(chunked_cross_entropy(hidden, weight, targets, chunk=3), cross_entropy(hidden @ weight.T, targets), atol=1e-5)
    True
    """
    _one_target_each(hidden.shape[:-1], targets)
    if chunk is not None and chunk < 1:
        raise ConfigError(f"chunk = {chunk!r}, expected at least 1 token", hint="leave it out: it follows from the vocabulary")
    flat, wanted = hidden.flatten(0, -2), targets.flatten()
    trained = wanted != IGNORED
    if not bool(trained.all()):
        flat, wanted = flat[trained], wanted[trained]
    given = (flat, weight, bias)
    if not torch.is_grad_enabled():  # autograd.Function cannot see this, and would work out gradients for nobody
        given = tuple(None if x is None else x.detach() for x in given)
    return _Chunked.apply(*given, wanted, chunk or rows_at_once(len(weight)))  # type: ignore[no-any-return]


def rows_at_once(vocab_size: int) -> int:
    """How many rows of logits are held at a time where nobody needs all of them.

    >>> rows_at_once(49_152)
    256
    """
    return max(1, HELD // vocab_size)


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, chunk: int) -> Tensor:
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.promote_types(hidden.dtype, weight.dtype)
        pairs = zip((hidden, weight, bias), ctx.needs_input_grad[:3], strict=True)
        for_hidden, for_weight, for_bias = (_sum(x) if x is not None and wanted else None for x, wanted in pairs)
        total = _wide(hidden.new_zeros(()))
        with torch.autocast(device, enabled=False):
            # cast once here; autocast would cast the weight again for every chunk
            rows, matrix, shift = hidden.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
            for start in range(0, len(rows), chunk):
                part = slice(start, start + chunk)
                error, loss = _error(F.linear(rows[part], matrix, shift), targets[part])
                total += loss
                if for_bias is not None:
                    for_bias += error.sum(0)
                narrow = error.to(dtype)
                if for_hidden is not None:
                    for_hidden[part] = narrow @ matrix
                if for_weight is not None:
                    _add_product(for_weight, narrow.t(), rows[part])
        kept = zip((for_hidden, for_weight, for_bias), (hidden, weight, bias), strict=True)
        ctx.save_for_backward(*(None if g is None or x is None else g.to(x.dtype) for g, x in kept))
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        if torch.is_grad_enabled():  # torch's once_differentiable would let a penalty on gradients through, as a constant
            raise TrainingError(
                "the chunked cross-entropy has no gradient of its gradient (create_graph=True)",
                hint="use cross_entropy, which holds all logits",
            )
        return *(None if g is None else g * grad.to(g.dtype) for g in ctx.saved_tensors), None, None


def _error(logits: Float[Tensor, "chunk vocab"], targets: Int[Tensor, "chunk"]) -> tuple[Tensor, Tensor]:
    """softmax(logits) - one_hot(targets), which is the gradient of the loss with respect to the logits, and the loss."""
    wide = _wide(logits)
    total = wide.logsumexp(-1, keepdim=True)
    places = targets.unsqueeze(-1)
    loss = (total - wide.gather(-1, places)).sum()
    error = wide.sub_(total).exp_()  # in place: one buffer of chunk x vocab
    return error.scatter_add_(-1, places, error.new_full(places.shape, -1.0)), loss


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right; the total of bf16 products is kept in fp32."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right


def _wide(x: Tensor) -> Tensor:
    """fp32, or fp64 where it is that already."""
    return x if x.dtype == torch.float64 else x.float()


def _sum(x: Tensor) -> Tensor:
    """A gradient to add up: zeros of x's shape."""
    return torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32))


def _one_target_each(rows: torch.Size, targets: Tensor) -> None:
    if targets.shape != rows:
        raise ShapeError(
            f"targets of shape {tuple(targets.shape)} for {tuple(rows)} positions, expected one target for each",
            hint="flatten both, or neither",
        )
