"""Log-probabilities of given tokens: how likely a model finds what was written, in nats, with gradients and without all logits."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from isinglass.models.transformer import Decoder
from isinglass.nn.loss import IGNORED, rows_at_once


def token_log_probs(
    decoder: Decoder, hidden: Float[Tensor, "batch time d_model"], targets: Int[Tensor, "batch time"]
) -> Float[Tensor, "batch time"]:
    """log softmax(logits)[target] at each place, 0 where the target is IGNORED; in fp32.

    Places without a target cost nothing. The logits of a chunk are computed again for its gradients, so that no more than one chunk's
    are ever held: a vocabulary of 49,152 takes 50 MB for 256 tokens.

    >>> import isinglass as ig
    >>> from isinglass.nn.loss import cross_entropy
    >>> decoder, ids = ig.create("tiny").decoder, torch.tensor([[1, 2, 3]])
    >>> targets = torch.tensor([[IGNORED, 3, 4]])
    >>> log_probs = token_log_probs(decoder, decoder.hidden(ids), targets)
    >>> torch.allclose(log_probs.sum(), -cross_entropy(decoder(ids), targets)), float(log_probs[0, 0])
    (True, 0.0)
    """
    wanted = targets != IGNORED
    rows, chosen = hidden[wanted], targets[wanted]
    size = rows_at_once(decoder.config.vocab_size)
    parts = [_chunk(decoder, rows[at : at + size], chosen[at : at + size]) for at in range(0, len(rows), size)]
    found = torch.cat(parts) if parts else hidden.new_zeros(0, dtype=torch.float32)
    return torch.zeros(targets.shape, device=hidden.device).masked_scatter(wanted, found)


def _chunk(decoder: Decoder, hidden: Tensor, chosen: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return _log_probs(decoder, hidden, chosen)
    return cast(Tensor, checkpoint(_log_probs, decoder, hidden, chosen, use_reentrant=False))


def _log_probs(decoder: Decoder, hidden: Tensor, chosen: Tensor) -> Tensor:
    logits = decoder.logits(hidden).float()
    return logits.gather(-1, chosen[:, None])[:, 0] - logits.logsumexp(-1)
