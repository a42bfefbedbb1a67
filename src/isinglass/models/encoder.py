"""The encoder: every token sees the whole text, as in BERT."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from isinglass.core.errors import EngineError
from isinglass.models.assembly import add_positions, attention_dims, make_attention, make_block, make_norm, make_positions, slots_for
from isinglass.models.config import EncoderConfig
from isinglass.nn.attention.slots import Slots
from isinglass.nn.block import Block, PostNormBlock
from isinglass.nn.dropout import Dropout
from isinglass.nn.embedding import SegmentEmbedding, token_embedding
from isinglass.nn.tap import Scoped, Tap, tapped


class Encoder(nn.Module):
    """Token ids in, one vector for each token out.

    Taps: `embed`, those of each layer, and `norm` where a norm follows the last one (pre-norm encoders).

    >>> import torch
    >>> from isinglass.models.presets import bert
    >>> model = Encoder(bert.build(n_layers=2, d_model=64, n_heads=4, vocab_size=100))
    >>> model(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 64])
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = token_embedding(config.vocab_size, config.d_model)
        self.embed_segments = SegmentEmbedding(config.n_segments, config.d_model) if config.n_segments else None
        dims = attention_dims(config, config.attention)
        distinct, of_layer = make_positions(config.attention, dims, config.n_layers)
        self.positions = nn.ModuleList(distinct)
        self.embed_norm = make_norm(config) if config.embedding_norm else None
        self.dropout = Dropout(config.dropout)
        attentions = make_attention(config.attention, dims, config.n_layers, of_layer)
        kind = {"pre": Block, "post": PostNormBlock}[config.norm_placement]
        self.layers = nn.ModuleList(make_block(config, attention, kind) for attention in attentions)
        # after post-norm blocks the output is normalised already
        self.norm = make_norm(config) if config.norm_placement == "pre" else None

    def hidden(
        self,
        ids: Int[Tensor, "batch time"],
        *,
        slots: Slots | None = None,
        segments: Int[Tensor, "batch time"] | None = None,
        tap: Tap | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """The hidden states after the last block.

        `segments` says which text of a pair a token is of. Without `slots` the tokens stand at 0, 1, ...: EngineError beyond the context
        length. Where `slots.valid` is False a row is padded, and its output there means nothing.
        """
        slots = slots_for(ids, slots, 0, self.config.context_length)
        x = add_positions(self.embed_tokens(ids) * self.config.embedding_scale, self.positions, slots)
        if self.embed_segments is not None:
            x = x + self.embed_segments(segments)
        elif segments is not None:
            raise EngineError("segments were given, but this encoder has no segment embeddings", hint="set n_segments in its config")
        x = x if self.embed_norm is None else self.embed_norm(x)
        x = self.dropout(tapped(tap, "embed", x))
        for number, layer in enumerate(self.layers):
            scoped = None if tap is None else Scoped(tap, f"layers.{number}.")
            x = layer(x, layer=number, slots=slots, k_slots=slots, tap=scoped)
        return x if self.norm is None else tapped(tap, "norm", self.norm(x))

    def forward(
        self,
        ids: Int[Tensor, "batch time"],
        *,
        slots: Slots | None = None,
        segments: Int[Tensor, "batch time"] | None = None,
        tap: Tap | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """The same as `hidden`: what an encoder says are its hidden states."""
        return self.hidden(ids, slots=slots, segments=segments, tap=tap)
