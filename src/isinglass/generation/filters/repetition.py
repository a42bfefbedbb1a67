"""Repetition: makes tokens that already stand in the row less likely.

What: divides positive logits of seen tokens by `penalty` and multiplies negative ones.
Why: greedy decoding of small models falls into loops.
Math: l_i / penalty if l_i > 0 else l_i * penalty, for every i in the row
Cost: one gather and scatter of the row's tokens
Used by: CTRL; most local front ends
Paper: Keskar et al. 2019, CTRL: A Conditional Transformer Language Model
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.generation.sampling import Filter

EXAMPLE = dict(penalty=1.2)


@dataclass(frozen=True)
class Repetition(Filter):
    penalty: float

    def __call__(self, logits: Tensor, ids: Sequence[int]) -> Tensor:
        seen = torch.tensor(sorted(set(ids)), device=logits.device)
        values = logits[seen]
        return logits.index_copy(0, seen, torch.where(values > 0, values / self.penalty, values * self.penalty))


def build(penalty: float = 1.2) -> Filter:
    if not penalty > 0:
        raise VariantError(f"repetition: penalty = {penalty!r}, expected a number > 0", hint="1.0 changes nothing, 1.2 is usual")
    return Repetition(float(penalty))
