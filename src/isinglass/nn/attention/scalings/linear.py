"""Linear: every angle is divided by `factor`, as if positions were squeezed together.

What: position interpolation.
Why: a model trained on N positions then sees factor * N of them without an angle it never met; needs a short fine-tuning.
Math: theta'_m = theta_m / factor
Cost: none
Used by: Llama-2 long-context variants
Paper: Chen et al. 2023, Extending Context Window of Large Language Models via Positional Interpolation
"""

from dataclasses import dataclass

from torch import Tensor

from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.position import Scaling

EXAMPLE = dict(factor=4.0)


@dataclass(frozen=True)
class Linear(Scaling):
    factor: float

    def __call__(self, frequencies: Tensor) -> Tensor:
        return frequencies / self.factor


def build(dims: Dims, factor: float) -> Scaling:
    return Linear(factor)
