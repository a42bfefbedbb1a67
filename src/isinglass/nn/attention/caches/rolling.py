"""Rolling: keeps the first tokens a mask always sees and the last ones it can reach; the rest is overwritten.

What: a ring of `back` places behind `first` fixed ones. What falls out of reach is forgotten, which changes nothing.
Why: memory stays the same however long the text grows. Masks without a finite reach are refused.
Math: places = first + back; the token at position p < first stands at place p, the n-th of the others at first + n mod back
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

    What is a first token is said by its position, so it is one's own first tokens that a row padded on the left keeps, and of packed
    documents those of the present one. Padding is not stored.
    """

    def __init__(self, dims: CacheDims, back: int, first: int) -> None:
        places = first + back
        shape = (dims.n_layers, dims.batch, dims.n_kv_heads, places, dims.d_head)
        self.k = torch.zeros(shape, dtype=dims.dtype, device=dims.device)
        self.v = torch.zeros(shape, dtype=dims.dtype, device=dims.device)
        self.position = torch.zeros(dims.batch, places, dtype=torch.long, device=dims.device)
        self.document = torch.zeros_like(self.position)
        self.filled = torch.zeros_like(self.position, dtype=torch.bool)
        self.counts = torch.zeros(dims.batch, 1, dtype=torch.long, device=dims.device)  # tokens of each row that went into the ring
        self.back, self.first = back, first
        self.length = self.n_kept = 0
        self.packed = False
        nothing = self.counts[:0, 0]
        self.rows, self.new, self.places = nothing, nothing, nothing  # of the tokens that stay: their row, number and place

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
        early = valid & (slots.position < self.first)
        later = valid & ~early
        number = self.counts + later.cumsum(dim=1) - 1
        self.counts = self.counts + later.sum(dim=1, keepdim=True)
        self.length += slots.position.shape[1]
        # of a long stretch, only the last tokens stay in the ring, and only the last document's first tokens in front of it
        later &= number >= self.counts - self.back
        early = early & _last_of_its_kind(slots.position, early) if self.packed else early
        self.rows, self.new = (early | later).nonzero(as_tuple=True)
        place = torch.where(early, slots.position, self.first + number % max(self.back, 1))
        self.places = place[self.rows, self.new]
        self.position[self.rows, self.places] = slots.position[self.rows, self.new]
        self.filled[self.rows, self.places] = True
        if self.packed:
            self.document[self.rows, self.places] = 0 if slots.document is None else slots.document[self.rows, self.new]
        return _append(kept, slots)

    def _kept(self) -> Slots:
        """The slots of what is stored; rows with fewer tokens than others have places that hold nothing."""
        used = self.filled.any(dim=0).nonzero()
        self.n_kept = int(used[-1]) + 1 if len(used) else 0
        filled = self.filled[:, : self.n_kept].clone()
        document = self.document[:, : self.n_kept] if self.packed else None
        # copies: these places are overwritten in this very pass
        valid = None if bool(filled.all()) else filled
        return Slots(self.position[:, : self.n_kept].clone(), valid, None if document is None else document.clone())

    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        joined = torch.cat([self.k[layer][:, :, : self.n_kept], k], dim=2), torch.cat([self.v[layer][:, :, : self.n_kept], v], dim=2)
        for stored, new in ((self.k[layer], k), (self.v[layer], v)):
            stored.transpose(1, 2)[self.rows, self.places] = new.transpose(1, 2)[self.rows, self.new]
        return joined


def _last_of_its_kind(position: Tensor, chosen: Tensor) -> Tensor:
    """Of chosen tokens in a row that stand at the same position, the last one: two must not be written to one place at once."""
    same = (position[:, :, None] == position[:, None, :]) & chosen[:, None, :]
    return ~same.triu(diagonal=1).any(dim=2)


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
