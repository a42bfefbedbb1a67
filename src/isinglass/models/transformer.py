"""The decoder: one readable forward pass for GPT-2, Llama, Mistral and whatever a config describes."""

from __future__ import annotations

from typing import Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from isinglass.core.errors import EngineError
from isinglass.models.config import DecoderConfig
from isinglass.nn import feedforward
from isinglass.nn.attention import kernels, masks, positions
from isinglass.nn.attention.cache import Cache
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.layer import Attention, Parts
from isinglass.nn.attention.position import Position
from isinglass.nn.attention.slots import Slots
from isinglass.nn.block import Block
from isinglass.nn.feedforward_layer import FeedForwardDims
from isinglass.nn.norms import build_norm
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
        # not nn.Embedding(...): its normal_ on the meta device imports torch's compiler, 2.2 s of the load of SmolLM2
        self.embed_tokens = nn.Embedding.from_pretrained(torch.empty(config.vocab_size, config.d_model), freeze=False)
        # one object per distinct expression: layers that ask for the same position share its weights and tables
        dims, wanted = attention_dims(config), config.per_layer(config.attention.position)
        distinct = {p if isinstance(p, str) else id(p): p for p in wanted}
        made = {key: positions.family.resolve(p, dims, where="attention.position") for key, p in distinct.items()}
        self.positions = nn.ModuleList(made.values())
        of_layer = [made[p if isinstance(p, str) else id(p)] for p in wanted]
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(_block(config, dims, layer, of_layer[layer]) for layer in range(config.n_layers))
        self.norm = build_norm(config.norm, config.d_model, config.norm_eps)
        untied = nn.Linear(config.d_model, config.vocab_size, bias=False) if config.embeddings == "untied" else None
        self.lm_head: nn.Module | None = untied

    def hidden(
        self, ids: Int[Tensor, "batch time"], *, slots: Slots | None = None, cache: Cache | None = None, tap: Tap | None = None
    ) -> Float[Tensor, "batch time d_model"]:
        """The residual stream after all blocks and the final norm.

        Without `slots` the tokens stand at the next positions: EngineError beyond the context length. Given slots are the caller's promise.
        """
        past = cache.length if cache is not None else 0
        if slots is None and past + ids.shape[1] > self.config.context_length:
            raise EngineError(
                f"{past + ids.shape[1]} tokens do not fit the model's context of {self.config.context_length}",
                hint=f"shorten the input to {self.config.context_length} tokens",
            )
        slots = slots if slots is not None else Slots.first(ids, past)
        k_slots = cache.extend(slots) if cache is not None else slots
        x = self.embed_tokens(ids)
        for position in self.positions:
            added = cast(Position, position).embed(slots)
            x = x if added is None else x + added.to(x.dtype)
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


def on_meta(config: DecoderConfig) -> Decoder:
    """The model without memory for its weights: to count them, or to put loaded ones in."""
    with torch.device("meta"):
        return Decoder(config)


def attention_dims(config: DecoderConfig) -> Dims:
    """The widths of the config's attention layers."""
    return Dims(config.d_model, config.attention.n_heads, config.n_kv_heads, config.d_head, config.context_length)


def _block(config: DecoderConfig, dims: Dims, layer: int, position: Position) -> Block:
    mask = masks.family.resolve(config.per_layer(config.attention.mask)[layer], dims, where="attention.mask")
    kernel = kernels.family.resolve(config.per_layer(config.attention.kernel)[layer], dims, where="attention.kernel")
    mlp = feedforward.family.resolve(config.feedforward, FeedForwardDims(config.d_model, config.d_ff), where="feedforward")
    return Block(
        build_norm(config.norm, config.d_model, config.norm_eps),
        Attention(dims, Parts(position, mask, kernel), config.attention.bias),
        build_norm(config.norm, config.d_model, config.norm_eps),
        mlp,
        config.dropout,
    )


@torch.no_grad()
def fresh(config: DecoderConfig, seed: int) -> Decoder:
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
