"""Top-p: keeps the smallest set of most likely tokens whose probabilities reach p.

What: nucleus sampling. The set is taken over the whole vocabulary, and always holds the most likely token.
Why: keeps few tokens where the model is sure and many where it is not, which a fixed k cannot.
Math: with p_1 >= p_2 >= ..., keep i if p_1 + ... + p_(i-1) < p
Cost: one sort of the vocabulary
Used by: most chat services
Paper: Holtzman et al. 2019, The Curious Case of Neural Text Degeneration
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.generation.sampling import HIDDEN, Filter

EXAMPLE = dict(p=0.9)


@dataclass(frozen=True)
class TopP(Filter):
    p: float

    def __call__(self, logits: Tensor, ids: Sequence[int]) -> Tensor:
        ordered, order = logits.sort(descending=True, stable=True)
        probabilities = ordered.double().softmax(dim=-1)
        before = probabilities.cumsum(dim=-1) - probabilities
        dropped = order[before >= self.p]
        return logits.index_fill(0, dropped, HIDDEN)


def build(p: float) -> Filter:
    """`p` in (0, 1]; 1 keeps everything."""
    if not 0 < p <= 1:
        raise VariantError(f"top_p: p = {p!r}, expected 0 < p <= 1", hint="0.9 is usual; for the most likely token alone use greedy")
    return TopP(float(p))
