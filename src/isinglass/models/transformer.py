"""The decoder: one readable forward pass for GPT-2, Llama, Mistral and whatever a config describes; and the model of any config."""

from __future__ import annotations

from typing import Literal, overload

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from isinglass.core.errors import ConfigError
from isinglass.models.assembly import add_positions, attention_dims, make_attention, make_block, make_norm, make_positions, slots_for
from isinglass.models.config import DecoderConfig, EncoderConfig, EncoderDecoderConfig, HierarchicalConfig, ModelConfig
from isinglass.models.encoder import Encoder
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.models.headed import HeadedModel, make_heads
from isinglass.models.hierarchical import HierarchicalEncoder
from isinglass.nn.attention.cache import Cache
from isinglass.nn.attention.slots import Slots
from isinglass.nn.block import Block
from isinglass.nn.dropout import Dropout
from isinglass.nn.embedding import token_embedding
from isinglass.nn.tap import Scoped, Tap, tapped


class Decoder(nn.Module):
    """Token ids in, logits over the vocabulary out.

    >>> from isinglass.models.presets import tiny
    >>> model = Decoder(tiny.build(vocab_size=100))
    >>> model(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 100])
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = token_embedding(config.vocab_size, config.d_model)
        dims = attention_dims(config, config.attention)
        distinct, of_layer = make_positions(config.attention, dims, config.n_layers)
        self.positions = nn.ModuleList(distinct)
        self.dropout = Dropout(config.dropout)
        attentions = make_attention(config.attention, dims, config.n_layers, of_layer)
        self.layers = nn.ModuleList(make_block(config, attention, Block) for attention in attentions)
        self.norm = make_norm(config)
        untied = nn.Linear(config.d_model, config.vocab_size, bias=False) if config.embeddings == "untied" else None
        self.lm_head: nn.Module | None = untied

    def hidden(
        self, ids: Int[Tensor, "batch time"], *, slots: Slots | None = None, cache: Cache | None = None, tap: Tap | None = None
    ) -> Float[Tensor, "batch time d_model"]:
        """The residual stream after all blocks and the final norm.

        Without `slots` the tokens stand at the next positions: EngineError beyond the context length. Given slots are the caller's promise.
        """
        slots = slots_for(ids, slots, cache.length if cache is not None else 0, self.config.context_length)
        k_slots = cache.extend(slots) if cache is not None else slots
        x = add_positions(self.embed_tokens(ids), self.positions, slots)
        x = self.dropout(tapped(tap, "embed", x))
        for number, layer in enumerate(self.layers):
            scoped = None if tap is None else Scoped(tap, f"layers.{number}.")
            x = layer(x, layer=number, slots=slots, k_slots=k_slots, cache=cache, tap=scoped)
        return tapped(tap, "norm", self.norm(x))

    def forward(
        self,
        ids: Int[Tensor, "batch time"],
        *,
        slots: Slots | None = None,
        cache: Cache | None = None,
        tap: Tap | None = None,
        rows: Literal["all", "last"] = "all",
    ) -> Float[Tensor, "batch rows vocab"]:
        """Logits at every position, or at the last alone (`rows="last"`), which is all that generation needs."""
        x = self.hidden(ids, slots=slots, cache=cache, tap=tap)
        return tapped(tap, "logits", self.logits(x if rows == "all" else x[:, -1:]))

    def logits(self, hidden: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        """The output head; with tied embeddings it is the token embedding, used the other way round."""
        if self.lm_head is None:
            return nn.functional.linear(hidden, self.embed_tokens.weight)
        return self.lm_head(hidden)


Model = Decoder | Encoder | HeadedModel | EncoderDecoder | HierarchicalEncoder


def assembled(config: ModelConfig) -> Model:
    """The model of a config, its weights left to whoever fills them."""
    if isinstance(config, EncoderDecoderConfig):
        return EncoderDecoder(config)
    if isinstance(config, EncoderConfig):
        return HeadedModel(Encoder(config), make_heads(config)) if config.heads else Encoder(config)
    if isinstance(config, HierarchicalConfig):
        return HierarchicalEncoder(config)
    if isinstance(config, DecoderConfig):
        return HeadedModel(Decoder(config), make_heads(config)) if config.heads else Decoder(config)
    raise ConfigError(f"a {type(config).__name__} describes no whole model")


@overload
def on_meta(config: DecoderConfig) -> Decoder: ...
@overload
def on_meta(config: ModelConfig) -> Model: ...
def on_meta(config: ModelConfig) -> Model:
    """The model without memory for its weights: to count them, or to put loaded ones in."""
    with torch.device("meta"):
        return assembled(config)


@overload
def fresh(config: DecoderConfig, seed: int) -> Decoder: ...
@overload
def fresh(config: ModelConfig, seed: int) -> Model: ...
@torch.no_grad()
def fresh(config: ModelConfig, seed: int) -> Model:
    """A model with fresh weights from an explicit generator.

    normal(0, 0.02), projections into the residual stream scaled by 1/sqrt(2 n_layers).

    Source: GPT-2 (Radford et al. 2019, section 2.3). Norms start at 1, biases at 0.
    """
    model = on_meta(config).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for name, weight in sorted(model.named_parameters()):
        if name.endswith("bias"):
            weight.zero_()
        elif weight.dim() == 1:
            weight.fill_(1.0)
        else:
            into_residual = name.endswith(("o_proj.weight", "down_proj.weight"))
            weight.normal_(0.0, 0.02 / (2 * model.config.n_layers) ** 0.5 if into_residual else 0.02, generator=generator)
    return model
