"""Temperature: divides the logits, so that a low one sharpens and a high one flattens the distribution.

What: logits / temperature; 0 keeps only the largest.
Why: the one dial between repeating the safest word and surprise.
Math: p_i = exp(l_i / T) / sum_j exp(l_j / T)
Cost: one division per token of the vocabulary
Used by: every chat service
Paper: Ackley, Hinton and Sejnowski 1985, A Learning Algorithm for Boltzmann Machines
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.generation.sampling import HIDDEN, Filter

EXAMPLE = dict(temperature=0.7)


@dataclass(frozen=True)
class Temperature(Filter):
    temperature: float

    def __call__(self, logits: Tensor, ids: Sequence[int]) -> Tensor:
        if self.temperature == 0:
            best = torch.full_like(logits, HIDDEN)
            best[logits.argmax()] = 0.0
            return best
        return logits / self.temperature


def build(temperature: float = 1.0) -> Filter:
    """0 is greedy; 1 leaves the model's own distribution."""
    if not temperature >= 0:
        raise VariantError(f"temperature = {temperature!r}, expected a number >= 0", hint="0 is greedy, 1 the model's own distribution")
    return Temperature(float(temperature))
