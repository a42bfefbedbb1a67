"""Ban: some tokens are never drawn.

What: their logits become -inf.
Why: to keep a model from ending early, from special tokens, or from a word.
Math: l_i = -inf for i in ids
Cost: one write per banned token
Used by: minimum-length generation; content rules
Paper: none
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isinglass.core.errors import EngineError
from isinglass.generation.sampling import HIDDEN, Filter

EXAMPLE = dict(ids=[0, 1])


@dataclass(frozen=True)
class Ban(Filter):
    ids: tuple[int, ...]

    def __call__(self, logits: Tensor, ids: Sequence[int]) -> Tensor:
        outside = [i for i in self.ids if not 0 <= i < len(logits)]
        if outside:
            raise EngineError(f"ban: token id {outside[0]!r} is outside the vocabulary of {len(logits)}")
        return logits.index_fill(0, torch.tensor(self.ids, dtype=torch.long, device=logits.device), HIDDEN)


def build(ids: Sequence[int]) -> Filter:
    return Ban(tuple(ids))
