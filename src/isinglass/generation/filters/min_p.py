"""Min-p: keeps tokens at least p times as likely as the most likely one.

What: a threshold that moves with the model's certainty.
Why: at high temperature it drops nonsense that top-p would let through.
Math: keep i if p_i >= p * max_j p_j, which is l_i >= max_j l_j + log p
Cost: one comparison per token of the vocabulary
Used by: llama.cpp and many local front ends
Paper: Nguyen et al. 2024, Turning Up the Heat: Min-p Sampling
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.generation.sampling import HIDDEN, Filter

EXAMPLE = dict(p=0.1)


@dataclass(frozen=True)
class MinP(Filter):
    p: float

    def __call__(self, logits: Tensor, ids: Sequence[int]) -> Tensor:
        return logits.masked_fill(logits < logits.max() + math.log(self.p), HIDDEN)


def build(p: float) -> Filter:
    if not 0 < p <= 1:
        raise VariantError(f"min_p: p = {p!r}, expected 0 < p <= 1", hint="0.05 is usual; leave min_p out to keep every token")
    return MinP(float(p))
