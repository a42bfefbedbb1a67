"""What trains an encoder-decoder: batches with a text that is read and one that is written, and the loss of what is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from jaxtyping import Int
from torch import Tensor, nn

from isinglass.core.errors import ConfigError
from isinglass.generation.lm import LM
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.nn.adapter import AdaptedLinear
from isinglass.nn.loss import IGNORED, chunked_cross_entropy
from isinglass.training.objective import Batch, Loss
from isinglass.training.padding import padded


@dataclass(frozen=True, eq=False)
class TwoSides(Batch):
    """What the encoder reads is `ids`; the decoder reads `decoder_ids` and is to write `targets`, one place further on."""

    decoder_ids: Int[Tensor, "batch written"] = field(kw_only=True)

    @classmethod
    def of(cls, read: Sequence[Sequence[int]], written: Sequence[Sequence[int]], start: int) -> TwoSides:
        """Rows of ids, padded on the right where they are of different lengths; the decoder begins with `start`."""
        ids, slots = padded(read)
        targets = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in written], batch_first=True, padding_value=IGNORED)
        before = torch.cat([torch.full((len(written), 1), start), targets[:, :-1]], dim=1)
        return cls(ids, slots, targets, decoder_ids=before.clamp(min=0))  # what stands behind a row's end is read, but never learned from

    @property
    def n_tokens(self) -> int:
        """Tokens that either side reads, padding not counted."""
        return super().n_tokens + int(self.n_targets)


def two_sides_loss(model: nn.Module, batch: Batch) -> Loss:
    """The cross-entropy of what the decoder is to write, in nats."""
    both, decoder_ids = cast(EncoderDecoder, model), cast(TwoSides, batch).decoder_ids
    hidden = both.hidden(decoder_ids, both.memory(batch.ids, slots=batch.slots))
    return Loss(chunked_cross_entropy(hidden * both.config.head_scale, _head(both), batch.targets))


def encoder_decoder_of(lm: LM, objective: str, does: str) -> EncoderDecoder:
    """The model as what reads one text and writes another. ConfigError for any other kind."""
    if isinstance(lm.model, EncoderDecoder):
        return lm.model
    kind = str(lm.config.architecture).replace("_", "-")
    raise ConfigError(
        f"{objective} trains an encoder-decoder, which {does}; this model is of the kind {kind}",
        hint="model = \"t5(n_layers=2, d_model=128, n_heads=4, d_head=32, d_ff=512)\", or objective = 'causal_lm' for a decoder",
    )


def _head(model: EncoderDecoder) -> Tensor:
    """The weight of the output layer, an adapter beside it included."""
    if model.lm_head is None:
        return model.embed_tokens.weight
    return model.lm_head.whole() if isinstance(model.lm_head, AdaptedLinear) else cast(nn.Linear, model.lm_head).weight
