"""Rolling: keeps the first tokens a mask always sees and the last ones it can reach; the rest is overwritten.

What: a ring of `back` places behind `first` fixed ones. What falls out of reach is forgotten, which changes nothing.
Why: memory stays the same however long the text grows. Masks without a finite reach are refused.
Math: places = first + back; token t >= first stands at place first + (t - first) mod back
Cost: bytes = 2 * n_layers * n_kv_heads * d_head * (first + back + 1), per row
Used by: Mistral 7B's rolling buffer; attention sinks keep `first` > 0
Paper: Jiang et al. 2023, Mistral 7B, section 2; Xiao et al. 2023, StreamingLLM
"""

import torch
from torch import Tensor

from isinglass.core.errors import EngineError
from isinglass.nn.attention.cache import Cache, CacheDims, SlotStore, finite_reach
from isinglass.nn.attention.mask import Mask
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(back=4)


class Rolling(Cache):
    """New keys are attended to together with the kept ones, then stored; so a long prefill needs no special case."""

    def __init__(self, dims: CacheDims, back: int, first: int) -> None:
        shape = (dims.n_layers, dims.batch, dims.n_kv_heads, first + back, dims.d_head)
        self.k = torch.zeros(shape, dtype=dims.dtype, device=dims.device)
        self.v = torch.zeros(shape, dtype=dims.dtype, device=dims.device)
        self.slots = SlotStore(dims.batch, first + back, dims.device)
        self.back, self.first = back, first
        self.length = 0
        self.kept = self.new = self.places = torch.empty(0, dtype=torch.long, device=dims.device)

    def supports(self, mask: Mask) -> str | None:
        reach = finite_reach(mask)
        if reach is None:
            return "a rolling cache needs a causal mask with a finite reach, such as causal & sliding_window(256)"
        if (reach.back or 0) > self.back or reach.first > self.first:
            return (
                f"the mask reaches back {reach.back} tokens and to the first {reach.first}; this cache keeps {self.back} and {self.first}"
            )
        return None

    def _place(self, tokens: Tensor) -> Tensor:
        return torch.where(tokens < self.first, tokens, self.first + (tokens - self.first) % max(self.back, 1))

    def extend(self, slots: Slots) -> Slots:
        time, device = slots.position.shape[1], slots.position.device
        if self.back == 0 and self.first == 0 and time == 0:
            raise EngineError("a rolling cache was given no tokens")
        self.kept = torch.arange(min(self.length, self.first + self.back), device=device)
        old = self.slots.read(self.kept)
        tokens = torch.arange(self.length, self.length + time, device=device)
        self.length += time
        stays = (tokens < self.first) | (tokens >= self.length - self.back)
        self.new, self.places = stays.nonzero()[:, 0], self._place(tokens[stays])
        keys = _append(old, slots)
        chosen = Slots(
            slots.position[:, self.new],
            None if slots.valid is None else slots.valid[:, self.new],
            None if slots.document is None else slots.document[:, self.new],
        )
        self.slots.write(chosen, self.places)
        return keys

    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        old_k, old_v = self.k[layer][:, :, self.kept], self.v[layer][:, :, self.kept]
        self.k[layer][:, :, self.places] = k[:, :, self.new]
        self.v[layer][:, :, self.places] = v[:, :, self.new]
        return torch.cat([old_k, k], dim=2), torch.cat([old_v, v], dim=2)


def _append(old: Slots, new: Slots) -> Slots:
    def join(a: Tensor | None, b: Tensor | None, fill: int) -> Tensor | None:
        if a is None and b is None:
            return None
        a = torch.full_like(old.position, fill) if a is None else a
        b = torch.full_like(new.position, fill) if b is None else b
        return torch.cat([a, b.to(a.dtype)], dim=1)

    valid = join(old.valid, new.valid, 1)
    position = torch.cat([old.position, new.position], dim=1)
    return Slots(position, None if valid is None else valid.bool(), join(old.document, new.document, 0), new.prefix_length)


def build(dims: CacheDims, back: int, first: int = 0) -> Cache:
    """`back` past tokens and the `first` ones are kept."""
    return Rolling(dims, back, first)
