"""Rolling: keeps the first tokens a mask always sees and the last ones it can reach; the rest is overwritten.

What: a ring of `back` places behind `first` fixed ones. What falls out of reach is forgotten, which changes nothing.
Why: memory stays the same however long the text grows. Masks without a finite reach are refused.
Math: places = first + back; token t >= first stands at place first + (t - first) mod back
Cost: bytes = 2 * n_layers * n_kv_heads * d_head * (first + back + 1) * bytes per number, per row
Used by: Mistral 7B's rolling buffer; attention sinks keep `first` > 0
Paper: Jiang et al. 2023, Mistral 7B, section 2; Xiao et al. 2023, StreamingLLM
"""

import torch
from torch import Tensor

from isinglass.nn.attention.cache import Cache, CacheDims, finite_reach
from isinglass.nn.attention.mask import Mask
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(back=4, first=2)


class Rolling(Cache):
    """New keys are attended to together with the kept ones, then stored; so a long prefill needs no special case.

    Each row counts its own tokens: padding is not stored, so the first tokens of a row that is padded on the left are kept as well.
    """

    def __init__(self, dims: CacheDims, back: int, first: int) -> None:
        places = first + back + 1  # the last place takes what is not kept
        shape = (dims.n_layers, dims.batch, dims.n_kv_heads, places, dims.d_head)
        self.k = torch.zeros(shape, dtype=dims.dtype, device=dims.device)
        self.v = torch.zeros(shape, dtype=dims.dtype, device=dims.device)
        self.position = torch.zeros(dims.batch, places, dtype=torch.long, device=dims.device)
        self.document = torch.zeros_like(self.position)
        self.counts = torch.zeros(dims.batch, 1, dtype=torch.long, device=dims.device)  # tokens of each row so far
        self.back, self.first = back, first
        self.length = self.n_kept = 0
        self.packed = False
        self.places = self.position[:, :0]

    def supports(self, mask: Mask) -> str | None:
        reach = finite_reach(mask)
        if reach is None:
            return "a rolling cache needs a causal mask with a finite reach, such as causal & sliding_window(256)"
        if (reach.back or 0) > self.back or reach.first > self.first:
            return (
                f"the mask reaches back {reach.back} tokens and to the first {reach.first}; this cache keeps {self.back} and {self.first}"
            )
        return None

    def extend(self, slots: Slots) -> Slots:
        self.packed |= slots.document is not None
        kept = self._kept()
        valid = torch.ones_like(slots.position, dtype=torch.bool) if slots.valid is None else slots.valid
        number = self.counts + valid.cumsum(dim=1) - 1  # which of its row's tokens each one is
        self.counts = self.counts + valid.sum(dim=1, keepdim=True)
        self.length += slots.position.shape[1]
        stays = valid & ((number < self.first) | (number >= self.counts - self.back))
        ring = self.first + (number - self.first) % max(self.back, 1)
        self.places = torch.where(stays, torch.where(number < self.first, number, ring), self.first + self.back)
        self.position.scatter_(1, self.places, slots.position)
        if self.packed:
            self.document.scatter_(1, self.places, torch.zeros_like(self.places) if slots.document is None else slots.document)
        return _append(kept, slots)

    def _kept(self) -> Slots:
        """The slots of what is stored; rows with fewer tokens than others have places that hold nothing."""
        self.n_kept = min(int(self.counts.max()), self.first + self.back)
        filled = torch.arange(self.n_kept, device=self.counts.device) < self.counts
        document = self.document[:, : self.n_kept] if self.packed else None
        # copies: these places are overwritten in this very pass
        valid = None if bool(filled.all()) else filled
        return Slots(self.position[:, : self.n_kept].clone(), valid, None if document is None else document.clone())

    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        joined = torch.cat([self.k[layer][:, :, : self.n_kept], k], dim=2), torch.cat([self.v[layer][:, :, : self.n_kept], v], dim=2)
        places = self.places[:, None, :, None].expand_as(k)
        self.k[layer].scatter_(2, places, k)
        self.v[layer].scatter_(2, places, v)
        return joined


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
