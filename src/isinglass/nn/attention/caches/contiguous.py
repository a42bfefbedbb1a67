"""Contiguous: one block of memory per layer, as long as the longest text will be.

What: keys and values are written behind one another; a step returns a view of what is filled.
Why: nothing is copied and nothing is allocated while generating.
Math: bytes = 2 * n_layers * n_kv_heads * d_head * capacity * bytes per number, per row
Cost: memory for the longest text from the first token on
Used by: generate, by default
Paper: Pope et al. 2022, Efficiently Scaling Transformer Inference
"""

import torch
from torch import Tensor

from isinglass.core.errors import EngineError
from isinglass.nn.attention.cache import Cache, CacheDims, SlotStore
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict()


class Contiguous(Cache):
    def __init__(self, dims: CacheDims) -> None:
        shape = (dims.n_layers, 2, dims.batch, dims.n_kv_heads, dims.capacity, dims.d_head)
        # views of each layer's keys and values, made once instead of at every step
        self.layers = [(pair[0], pair[1]) for pair in torch.empty(shape, dtype=dims.dtype, device=dims.device)]
        self.slots = SlotStore(dims.batch, dims.capacity, dims.device)
        self.capacity = dims.capacity
        self.length = self.start = 0

    def extend(self, slots: Slots) -> Slots:
        self.start, self.length = self.length, self.length + slots.position.shape[1]
        if self.length > self.capacity:
            raise EngineError(f"the cache holds {self.capacity} tokens, asked to hold {self.length}")
        self.slots.write(slots, slice(self.start, self.length))
        return self.slots.read(slice(0, self.length), slots.prefix_length)

    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        all_k, all_v = self.layers[layer]
        all_k.narrow(2, self.start, k.shape[2]).copy_(k)
        all_v.narrow(2, self.start, v.shape[2]).copy_(v)
        return all_k.narrow(2, 0, self.length), all_v.narrow(2, 0, self.length)

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order; one may be taken several times. Beam search goes on with the best of its rows."""
        self.layers = [(k[rows], v[rows]) for k, v in self.layers]
        self.slots.select(rows)

    def select_last(self, rows: Tensor) -> None:
        """As `select`, of rows that differ in their last token alone: only that is copied, and the other places stay as they are."""
        for pair in self.layers:
            for stored in pair:
                last = stored.select(2, self.length - 1)
                last.copy_(last[rows])

    def keep(self, lengths: Tensor) -> None:
        """Forget each row's tokens from position `lengths[row]` on: they become padding. Places that no row needs are used again."""
        slots = self.slots
        valid = slots.valid[:, : self.length] & (slots.position[:, : self.length] < lengths[:, None])
        self.length = int(valid.any(dim=0).nonzero().max()) + 1 if valid.any() else 0
        slots.valid.fill_(True)
        slots.valid[:, : self.length] = valid[:, : self.length]
        slots.padded = not bool(slots.valid.all())


def build(dims: CacheDims) -> Cache:
    return Contiguous(dims)
