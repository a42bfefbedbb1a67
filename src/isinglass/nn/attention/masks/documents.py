"""Documents: tokens of different documents packed into one row do not see each other.

What: compares the document number of each slot; without numbers it hides nothing.
Why: packing fills rows without padding; attention must not leak from one text into the next.
Math: allow(i, j) = document(i) == document(j)
Cost: none beyond the mask it is joined with
Used by: packed pretraining and fine-tuning (causal & documents)
Paper: Krell et al. 2021, Efficient Sequence Packing without Cross-contamination
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.mask import Mask
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict()


@dataclass(frozen=True)
class Documents(Mask):
    def allow(self, q: Slots, k: Slots) -> Tensor:
        if q.document is None or k.document is None:
            shape = (1, q.position.shape[1], k.position.shape[1])
            return torch.ones(shape, dtype=torch.bool, device=q.position.device)
        return q.document[:, :, None] == k.document[:, None, :]


def build(dims: Dims) -> Mask:
    return Documents()
