"""What one more token costs with the KV cache and without it, counted from the model: arithmetic, memory read, memory held."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from isinglass.generation.lm import LM
from isinglass.models.summary import flops_per_token, kv_bytes_per_token
from isinglass.nn.quantized import FEW_ROWS, Int4Linear, QuantizedLinear


def cached_work(lm: LM, length: int) -> tuple[float, float]:
    """FLOPs, and bytes read, of one step over a cache of `length` tokens: all weights once, and the cache."""
    width = lm.decoder.embed_tokens.weight.element_size()
    read = _weight_bytes(lm) - _quantised_away(lm) + length * kv_bytes_per_token(lm.config, width)
    return flops_per_token(lm.config, lm.decoder, length), read


def uncached_work(lm: LM, length: int) -> tuple[float, float]:
    """FLOPs, and bytes read, of a pass over `length` tokens; the output head is needed for the last one only."""
    head = 2 * lm.config.vocab_size * lm.config.d_model
    each = flops_per_token(lm.config, lm.decoder, (length + 1) // 2) - head  # a token sees half of the others on average
    return length * each + head, _weight_bytes(lm) - (_quantised_away(lm) if length <= FEW_ROWS else 0)


def _weight_bytes(lm: LM) -> int:
    """Weights that a pass reads whole: all but a token table that is not the output head as well."""
    table = lm.decoder.embed_tokens.weight
    total = sum(weight.nbytes for weight in lm.decoder.parameters())
    return total if lm.decoder.lm_head is None else total - table.nbytes


def _quantised_away(lm: LM) -> int:
    """Bytes of dense weights that a step need not read, because their products read codes."""
    products = [module for module in lm.packed().modules() if isinstance(module, QuantizedLinear | Int4Linear)]
    dense = sum(weight.nbytes for product in products for weight in product.dense.parameters())
    return dense - sum(part.nbytes for product in products for part in product.parameters(recurse=False))


def kv_bytes(lm: LM, n_tokens: int) -> tuple[int, int]:
    """Bytes of keys and values of so many tokens: counted from the config, and found in a cache made for them."""
    _, cache = lm.engine(batch=1, capacity=n_tokens, compile=False)
    # by storage, so that views of one block of memory count once
    blocks = {
        part.untyped_storage().data_ptr(): part.untyped_storage().nbytes() for part in _tensors(vars(cache)) if part.is_floating_point()
    }
    return n_tokens * kv_bytes_per_token(lm.config, lm.decoder.embed_tokens.weight.element_size()), sum(blocks.values())


def _tensors(value: object) -> Iterator[torch.Tensor]:
    """Every tensor in nested lists, tuples and dicts."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)
