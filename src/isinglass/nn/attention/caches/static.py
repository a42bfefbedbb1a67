"""Static: shapes never change; what is not filled is marked as padding. For compiled steps.

What: every step returns all `capacity` places; validity tells which hold a token.
Why: a compiler makes one program for one set of shapes; a cache that grows by a token would need a new one each step.
Math: bytes as contiguous
Cost: attention over `capacity` keys at every step
Used by: generate(..., compile=True)
Paper: none
"""

import torch
from torch import Tensor

from isinglass.core.errors import EngineError
from isinglass.nn.attention.cache import Cache, CacheDims, SlotStore
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict()


class Static(Cache):
    def __init__(self, dims: CacheDims) -> None:
        shape = (2, dims.batch, dims.n_kv_heads, dims.capacity, dims.d_head)
        # zeros: what is hidden still meets a weight of zero, and zero times an uninitialised NaN would be NaN
        self.layers = [torch.zeros(shape, dtype=dims.dtype, device=dims.device) for _ in range(dims.n_layers)]
        self.slots = SlotStore(dims.batch, dims.capacity, dims.device)
        self.slots.valid.fill_(False)
        self.slots.padded = True
        self.capacity, self.length = dims.capacity, 0
        self.places = torch.zeros(0, dtype=torch.long, device=dims.device)

    def extend(self, slots: Slots) -> Slots:
        start, self.length = self.length, self.length + slots.position.shape[1]
        if self.length > self.capacity:
            raise EngineError(f"the cache holds {self.capacity} tokens, asked to hold {self.length}")
        self.places = torch.arange(start, self.length, device=slots.position.device)
        self.slots.write(slots, self.places)
        if slots.valid is None:
            self.slots.valid[:, self.places] = True
        return self.slots.read(slice(0, self.capacity), slots.prefix_length)

    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        all_k, all_v = self.layers[layer]
        all_k.index_copy_(2, self.places, k)
        all_v.index_copy_(2, self.places, v)
        return all_k, all_v


def build(dims: CacheDims) -> Cache:
    return Static(dims)
