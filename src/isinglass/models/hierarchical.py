"""The hierarchical encoder: tokens become sentences, sentences become a document."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from isinglass.core.errors import EngineError
from isinglass.models.assembly import attention_dims
from isinglass.models.config import HierarchicalConfig
from isinglass.models.stack import make_stack
from isinglass.nn.attention.slots import Slots
from isinglass.nn.embedding import token_embedding
from isinglass.nn.pooling import pooling
from isinglass.nn.tap import Scoped, Tap


@dataclass(frozen=True, eq=False)
class Levels:
    """A vector for each token, each sentence and each document."""

    tokens: Float[Tensor, "batch sentences time d_model"]
    sentences: Float[Tensor, "batch sentences d_model"]
    documents: Float[Tensor, "batch d_model"]


class HierarchicalEncoder(nn.Module):
    """Tokens attend within their sentence, sentences within their document: n sentences of t tokens cost n t^2 + n^2 scores, not (n t)^2.

    Taps: those of a stack with the prefixes `tokens.` and `sentences.`.

    Source: Yang et al. 2016, Hierarchical Attention Networks; Zhang et al. 2019, HIBERT.

    >>> import torch
    >>> from isinglass.models.presets import hierarchical
    >>> model = HierarchicalEncoder(hierarchical.build(n_layers=1, d_model=32, n_heads=4, vocab_size=100))
    >>> model(torch.ones(2, 5, 7, dtype=torch.long)).sentences.shape
    torch.Size([2, 5, 32])
    """

    def __init__(self, config: HierarchicalConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = token_embedding(config.vocab_size, config.d_model)
        dims = attention_dims(config, config.attention)
        self.tokens = make_stack(config, config.attention, dims, config.n_layers)
        of_sentences = replace(dims, context_length=config.n_sentences)
        self.sentences = make_stack(config, config.attention, of_sentences, config.n_sentence_layers)
        self.pool = pooling(config.pooling)

    def forward(
        self,
        ids: Int[Tensor, "batch sentences time"],
        *,
        valid: Bool[Tensor, "batch sentences time"] | None = None,
        tap: Tap | None = None,
    ) -> Levels:
        """`valid` False is padding; a sentence of padding alone is no sentence.

        EngineError for sentences or documents longer than the config allows.
        """
        batch, n_sentences, time = ids.shape
        for count, most, what in (
            (time, self.config.context_length, "tokens in a sentence"),
            (n_sentences, self.config.n_sentences, "sentences"),
        ):
            if count > most:
                raise EngineError(f"{count} {what} do not fit the model, which holds {most}", hint="split the text into smaller parts")
        flat, of_tokens = ids.flatten(0, 1), None if valid is None else valid.flatten(0, 1)
        slots = replace(Slots.first(flat), valid=of_tokens)
        tokens = self.tokens(self.embed_tokens(flat), slots, tap=None if tap is None else Scoped(tap, "tokens."))
        pooled = self.pool(tokens, of_tokens).unflatten(0, (batch, n_sentences))
        of_sentences = None if valid is None else valid.any(dim=-1)
        places = replace(Slots.first(ids[:, :, 0]), valid=of_sentences)
        sentences = self.sentences(pooled, places, tap=None if tap is None else Scoped(tap, "sentences."))
        return Levels(tokens.unflatten(0, (batch, n_sentences)), sentences, self.pool(sentences, of_sentences))
