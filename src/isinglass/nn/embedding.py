"""Embeddings: a vector for each token, and one for each kind of segment."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from isinglass.core.errors import EngineError


def token_embedding(vocab_size: int, d_model: int) -> nn.Embedding:
    """A table of trainable vectors, its values left to whoever fills it.

    Not nn.Embedding(...): its normal_ on the meta device imports torch's compiler, 2.2 s of the load of SmolLM2.
    """
    return nn.Embedding.from_pretrained(torch.empty(vocab_size, d_model), freeze=False)


class SegmentEmbedding(nn.Module):
    """Says which text of a pair a token belongs to: segment 0, segment 1, ... (Devlin et al. 2018, BERT, section 3)."""

    def __init__(self, n_segments: int, d_model: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_segments, d_model))

    def forward(self, segments: Int[Tensor, "batch time"] | None) -> Float[Tensor, "#batch #time d_model"]:
        """Without `segments` all tokens belong to segment 0. EngineError for a segment that has no embedding."""
        if segments is None:
            return self.weight[:1, None]
        if not torch.compiler.is_compiling():  # inside a compiled program nothing may depend on what tensors hold
            self._check(segments)
        return nn.functional.embedding(segments, self.weight)

    def _check(self, segments: Tensor) -> None:
        last = int(segments.max())
        if last >= len(self.weight) or int(segments.min()) < 0:
            raise EngineError(f"segment {last} has no embedding", details=[f"this model knows segments 0 to {len(self.weight) - 1}"])
