"""The encoder-decoder: one stack reads a text, another writes while looking at what was read, as in T5."""

from __future__ import annotations

from typing import cast

from jaxtyping import Float, Int
from torch import Tensor, nn

from isinglass.models.assembly import attention_dims, make_attention, make_feedforward, make_norm, make_positions, slots_for
from isinglass.models.config import EncoderDecoderConfig
from isinglass.models.stack import Memory, Stack, make_stack
from isinglass.nn.attention.cache import Cache
from isinglass.nn.attention.config import AttentionConfig
from isinglass.nn.attention.slots import Slots
from isinglass.nn.block import CrossBlock
from isinglass.nn.embedding import token_embedding
from isinglass.nn.tap import Scoped, Tap, tapped


class EncoderDecoder(nn.Module):
    """Ids of a source text and of what has been written so far in, logits for what comes next out.

    Taps are those of decoders with the prefixes `encoder.` and `decoder.`; cross-attention has `decoder.layers.N.cross_attention.q` and
    so on, and `decoder.layers.N.resid_cross` after it.

    >>> import torch
    >>> from isinglass.models.presets import t5
    >>> model = EncoderDecoder(t5.build(n_layers=2, d_model=64, n_heads=4, d_head=16, d_ff=96, vocab_size=100))
    >>> model(torch.tensor([[1, 2, 3]]), torch.tensor([[0, 4]])).shape
    torch.Size([1, 2, 100])
    """

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = token_embedding(config.vocab_size, config.d_model)
        self.encoder = make_stack(config, config.attention, attention_dims(config, config.attention), config.n_layers)
        self.decoder = _decoder(config)
        untied = nn.Linear(config.d_model, config.vocab_size, bias=False) if config.embeddings == "untied" else None
        self.lm_head: nn.Module | None = untied

    def memory(self, ids: Int[Tensor, "batch time"], *, slots: Slots | None = None, tap: Tap | None = None) -> Memory:
        """Read a text, once; EngineError when it is longer than the context and no slots are given."""
        slots = slots_for(ids, slots, 0, self.config.context_length)
        scoped = None if tap is None else Scoped(tap, "encoder.")
        hidden = self.encoder(self.embed_tokens(ids), slots, tap=scoped)
        return Memory([cast(CrossBlock, layer).cross_attention.remember(hidden) for layer in self.decoder.layers], slots)

    def hidden(
        self,
        decoder_ids: Int[Tensor, "batch time"],
        memory: Memory,
        *,
        slots: Slots | None = None,
        cache: Cache | None = None,
        tap: Tap | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """The decoder's residual stream after its final norm. With a cache, `decoder_ids` are the new tokens alone."""
        slots = slots_for(decoder_ids, slots, cache.length if cache is not None else 0, self.config.context_length)
        k_slots = cache.extend(slots) if cache is not None else slots
        scoped = None if tap is None else Scoped(tap, "decoder.")
        return self.decoder(self.embed_tokens(decoder_ids), slots, k_slots=k_slots, tap=scoped, memory=memory, cache=cache)

    def logits(self, hidden: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        """The output head; with tied embeddings it is the token embedding, used the other way round."""
        hidden = hidden * self.config.head_scale
        return nn.functional.linear(hidden, self.embed_tokens.weight) if self.lm_head is None else self.lm_head(hidden)

    def forward(
        self,
        ids: Int[Tensor, "batch source"],
        decoder_ids: Int[Tensor, "batch time"],
        *,
        slots: Slots | None = None,
        decoder_slots: Slots | None = None,
        cache: Cache | None = None,
        tap: Tap | None = None,
    ) -> Float[Tensor, "batch time vocab"]:
        """Logits at every place of `decoder_ids`. To write step by step, call `memory` once, then `hidden` and `logits` with a cache."""
        memory = self.memory(ids, slots=slots, tap=tap)
        return tapped(tap, "logits", self.logits(self.hidden(decoder_ids, memory, slots=decoder_slots, cache=cache, tap=tap)))


def _decoder(config: EncoderDecoderConfig) -> Stack:
    dims, n = attention_dims(config, config.decoder_attention), config.decoder_layers
    distinct, of_layer = make_positions(config.decoder_attention, dims, n)
    attentions = make_attention(config.decoder_attention, dims, n, of_layer)
    crossing = _cross_attention(config.decoder_attention)
    crossings = make_attention(crossing, dims, n, make_positions(crossing, dims, n)[1])
    layers: list[nn.Module] = [
        CrossBlock((make_norm(config), make_norm(config), make_norm(config)), *both, make_feedforward(config), config.dropout)
        for both in zip(attentions, crossings, strict=True)
    ]
    return Stack(config, distinct, layers)


def _cross_attention(decoder: AttentionConfig) -> AttentionConfig:
    """Every token that is written sees the whole text that was read, whose order the encoder has worked in already."""
    kernel = decoder.kernel if isinstance(decoder.kernel, str) else "sdpa"
    return decoder.model_copy(update={"position": "none", "mask": "full", "kernel": kernel})
