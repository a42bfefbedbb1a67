"""From settings to parts: what every architecture is put together from."""

from __future__ import annotations

from typing import TypeVar, cast

from jaxtyping import Float, Int
from torch import Tensor, nn

from isinglass.core.errors import EngineError
from isinglass.models.config import ModelConfig, per_layer
from isinglass.nn import feedforward
from isinglass.nn.attention import kernels, masks, positions
from isinglass.nn.attention.config import AttentionConfig
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.layer import Attention, Parts
from isinglass.nn.attention.position import Position
from isinglass.nn.attention.slots import Slots
from isinglass.nn.block import Block, PostNormBlock
from isinglass.nn.feedforward_layer import FeedForward, FeedForwardDims
from isinglass.nn.norms import build_norm


def attention_dims(config: ModelConfig, attention: AttentionConfig) -> Dims:
    """The widths of attention layers."""
    d_head = attention.d_head or config.d_model // attention.n_heads
    return Dims(config.d_model, attention.n_heads, attention.n_kv_heads or attention.n_heads, d_head, config.context_length)


def make_positions(attention: AttentionConfig, dims: Dims, n_layers: int) -> tuple[list[Position], list[Position]]:
    """The distinct positions, and the one of each layer: layers that ask for the same one share its weights and tables."""
    wanted = per_layer(attention.position, n_layers)
    keys = [p if isinstance(p, str) else id(p) for p in wanted]
    made = {key: positions.family.resolve(p, dims, where="attention.position") for key, p in dict(zip(keys, wanted, strict=True)).items()}
    return list(made.values()), [made[key] for key in keys]


def make_attention(attention: AttentionConfig, dims: Dims, n_layers: int, of_layer: list[Position]) -> list[Attention]:
    """One attention layer for each position."""
    rules = [masks.family.resolve(m, dims, where="attention.mask") for m in per_layer(attention.mask, n_layers)]
    ways = [kernels.family.resolve(k, dims, where="attention.kernel") for k in per_layer(attention.kernel, n_layers)]
    parts = [Parts(*each) for each in zip(of_layer, rules, ways, strict=True)]
    return [Attention(dims, each, attention.bias, scale=attention.scale) for each in parts]


def make_feedforward(config: ModelConfig) -> FeedForward:
    """The feed-forward layer the config names."""
    return feedforward.family.resolve(config.feedforward, FeedForwardDims(config.d_model, config.d_ff), where="feedforward")


def make_norm(config: ModelConfig) -> nn.Module:
    """The norm the config names."""
    return build_norm(config.norm, config.d_model, config.norm_eps)


B = TypeVar("B", Block, PostNormBlock)


def make_block(config: ModelConfig, attention: Attention, kind: type[B]) -> B:
    """A block around an attention layer."""
    return kind(make_norm(config), attention, make_norm(config), make_feedforward(config), config.dropout)


def slots_for(ids: Int[Tensor, "batch time"], slots: Slots | None, past: int, context_length: int) -> Slots:
    """Without `slots` the tokens stand at the next positions: EngineError beyond the context length.

    Given slots are the caller's promise.
    """
    if slots is not None:
        return slots
    if past + ids.shape[1] > context_length:
        raise EngineError(
            f"{past + ids.shape[1]} tokens do not fit the model's context of {context_length}",
            hint=f"shorten the input to {context_length} tokens",
        )
    return Slots.first(ids, past)


def add_positions(x: Float[Tensor, "batch time d_model"], schemes: nn.ModuleList, slots: Slots) -> Float[Tensor, "batch time d_model"]:
    """Token embeddings with what the positions add to them."""
    for scheme in schemes:
        added = cast(Position, scheme).embed(slots)
        x = x if added is None else x + added.to(x.dtype)
    return x
