"""A compiled step: the same model, traced once for one batch size and capacity, run for every token after the prompt."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from isinglass.models.cache import cache_dims
from isinglass.models.transformer import Decoder
from isinglass.nn.attention.cache import Cache
from isinglass.nn.attention.caches.static import Static
from isinglass.nn.attention.kernels.reference import Reference
from isinglass.nn.attention.slots import Slots
from isinglass.nn.block import Block

SMALLEST = 128  # tokens; capacities are rounded up to powers of two, so that few programs serve all lengths


class Placed(Cache):
    """A static cache seen from inside the compiled step: everything is a tensor that was handed in."""

    def __init__(self, layers: Sequence[Tensor], keys: Slots, places: Tensor) -> None:
        self.layers, self.keys, self.places = layers, keys, places
        self.length = 0  # the context length was checked outside

    def extend(self, slots: Slots) -> Slots:
        return self.keys

    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        self.layers[layer].index_copy_(3, self.places, torch.stack([k, v]))
        return self.layers[layer][0], self.layers[layer][1]


class CompiledModel:
    """Called like a `Decoder` with a static cache: prompts run as they are, steps through the compiled program.

    Matrix products keep the layout of `models.pack`; written as multiply-and-sum they were slower on the processor that was measured
    (50 against 42 ms a token, LOG.md, 2026-11-22).
    """

    def __init__(self, packed: Decoder) -> None:
        self.prefill = packed
        shared: dict[int, object] = {id(weight): weight for weight in packed.parameters()}
        self.model = copy.deepcopy(packed, memo=shared)
        for block in self.model.layers:
            attention = cast(Block, block).attention
            # the compiler fuses the written-out attention; torch's own kernel would stay a call between two fused loops
            attention.parts = replace(attention.parts, kernel=Reference())
        self.step = torch.compile(self._step, fullgraph=True, dynamic=False, options={"cpp_wrapper": True})

    def _step(self, ids: Tensor, position: Tensor, key_position: Tensor, valid: Tensor, places: Tensor, layers: list[Tensor]) -> Tensor:
        cache = Placed(layers, Slots(key_position, valid), places)
        return self.model(ids, slots=Slots(position), cache=cache, rows="last")

    def __call__(self, ids: Tensor, *, slots: Slots, cache: Static, rows: Any = "last") -> Tensor:
        if ids.shape[1] > 1:
            return self.prefill(ids, slots=slots, cache=cache, rows=rows)
        keys = cache.extend(slots)
        assert keys.valid is not None
        return self.step(ids, slots.position.contiguous(), keys.position, keys.valid, cache.places, cache.layers)


def static_cache(model: Decoder, *, batch: int, capacity: int) -> Static:
    """An empty cache whose capacity is a power of two."""
    rounded = max(SMALLEST, 1 << (capacity - 1).bit_length())
    return Static(cache_dims(model, batch=batch, capacity=rounded))
