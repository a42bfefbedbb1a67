"""The cache that fits a model: its widths, and a layout its masks allow."""

from __future__ import annotations

from typing import cast

import torch

from isinglass.core.errors import EngineError
from isinglass.models.assembly import attention_dims
from isinglass.models.config import EncoderDecoderConfig
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.models.transformer import Decoder
from isinglass.nn.attention import caches
from isinglass.nn.attention.cache import Cache, CacheDims, finite_reach
from isinglass.nn.attention.mask import Mask
from isinglass.nn.block import Block, CrossBlock


def cache_dims(model: Decoder | EncoderDecoder, *, batch: int, capacity: int) -> CacheDims:
    """What a cache for this model must hold. Of an encoder-decoder the decoder writes; what it reads is kept as its `Memory`."""
    weight, config = model.embed_tokens.weight, model.config
    if isinstance(config, EncoderDecoderConfig):
        dims, n_layers = attention_dims(config, config.decoder_attention), config.decoder_layers
    else:
        dims, n_layers = attention_dims(config, config.attention), config.n_layers
    return CacheDims(n_layers, batch, dims.n_kv_heads, dims.d_head, capacity, weight.dtype, weight.device)


def new_cache(model: Decoder | EncoderDecoder, *, batch: int, capacity: int, kind: str | None = None) -> Cache:
    """An empty cache. Without a `kind`, rolling when every mask looks back less than `capacity`, else contiguous.

    Raises EngineError when a layer's mask cannot be cached that way.
    """
    rules = masks(model)
    cache = caches.family.resolve(kind or _kind(rules, capacity), cache_dims(model, batch=batch, capacity=capacity), where="cache")
    for layer, mask in enumerate(rules):
        reason = cache.supports(mask)
        if reason:
            raise EngineError(f"layers.{layer}: {reason}", details=[f"its mask is {mask!r}"])
    return cache


def masks(model: Decoder | EncoderDecoder) -> list[Mask]:
    """The mask of each layer that writes."""
    layers = model.decoder.layers if isinstance(model, EncoderDecoder) else model.layers
    return [cast(Block | CrossBlock, block).attention.parts.mask for block in layers]


def _kind(rules: list[Mask], capacity: int) -> str:
    reaches = [finite_reach(mask) for mask in rules]
    back = [r.back for r in reaches if r is not None and r.back is not None]
    if len(back) == len(rules) and max(back) < capacity:
        return f"rolling(back={max(back)}, first={max(r.first for r in reaches if r is not None)})"
    return "contiguous"


def synchronise(device: torch.device) -> None:
    """Wait for an accelerator, so that a clock read after it tells the truth; does nothing on the CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
