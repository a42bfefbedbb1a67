"""NTK-aware: the base grows, so that the slowest wave is stretched by about `factor` and the fastest not at all.

What: a smooth stretch, the more the slower the wave. The dynamic form changes `factor` as the text grows; at each length it is this one.
Why: works without fine-tuning, because fast waves still tell neighbours apart. It is fixed here: a factor that grows would change the
     angles of keys that are cached already.
Math: base' = base * factor^(d / (d - 2)), so theta'_m = theta_m * factor^(-2m / (d - 2)). Dynamic: factor = s N / N_0 - (s - 1) at N tokens
Cost: none
Used by: Code Llama in spirit (base 1,000,000); Hugging Face's rope_type "dynamic" at a given length
Paper: bloc97 2023 (the NTK-aware proposal); Peng et al. 2023, YaRN, section 3.1
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.position import Scaling

EXAMPLE = dict(factor=4.0)


@dataclass(frozen=True)
class NTK(Scaling):
    factor: float

    def __call__(self, frequencies: Tensor) -> Tensor:
        # m = 0 ... d / 2 - 1, so 2 m / (d - 2) runs from 0 to 1
        return frequencies * self.factor ** -torch.linspace(0, 1, len(frequencies), device=frequencies.device)


def build(dims: Dims, factor: float) -> Scaling:
    return NTK(factor)
