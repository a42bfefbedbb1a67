"""Top-k: keeps the k most likely tokens.

What: everything below the k-th largest logit cannot be drawn; ties with the k-th stay.
Why: cuts off the long tail, where single tokens are unlikely but together are drawn often.
Math: keep i if l_i >= the k-th largest l
Cost: one selection over the vocabulary
Used by: GPT-2's published samples (k = 40)
Paper: Fan et al. 2018, Hierarchical Neural Story Generation
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.generation.sampling import HIDDEN, Filter

EXAMPLE = dict(k=3)


@dataclass(frozen=True)
class TopK(Filter):
    k: int

    def __call__(self, logits: Tensor, ids: Sequence[int]) -> Tensor:
        threshold = logits.topk(min(self.k, len(logits))).values[-1]
        return logits.masked_fill(logits < threshold, HIDDEN)


def build(k: int) -> Filter:
    if k < 1:
        raise VariantError(f"top_k: k = {k!r}, expected a whole number >= 1", hint="leave top_k out to keep every token")
    return TopK(k)
