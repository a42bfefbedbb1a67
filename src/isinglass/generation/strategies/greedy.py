"""Greedy: always the most likely token.

What: argmax of the logits; of equal ones the lowest id.
Why: repeatable, and best where one answer is right; in open text it repeats itself.
Math: argmax_i l_i
Cost: one pass over the vocabulary
Used by: evaluation, code, arithmetic
Paper: none
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from isinglass.generation.sampling import HIDDEN, Chooser, Row, Strategy

EXAMPLE = dict()


class Greedy(Chooser):
    def with_temperature(self, temperature: float) -> Strategy | None:
        return self if temperature == 0 else None

    def choose(self, logits: Tensor, rows: Sequence[Row]) -> list[int]:
        return logits.argmax(dim=-1).tolist()

    def law(self, logits: Tensor, ids: Sequence[int]) -> Tensor:
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.full_like(logits, HIDDEN).scatter(-1, best, 0.0)


def build() -> Strategy:
    return Greedy()
