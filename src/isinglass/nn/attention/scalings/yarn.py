"""YaRN: slow waves are stretched by `factor`, fast ones kept, those between blended by rank; scores get a little sharper.

What: as llama3, but the blend runs over the rank of the wave, and rotated queries and keys grow by a factor.
Why: softmax over more keys spreads out; a temperature set by the stretch undoes that, so a model adapts after few steps.
Math: rank(r) = the wave that turns r times in the original context; ramp from rank(fast) to rank(slow);
      theta' = theta (1 - ramp) + theta / factor * ramp; cos and sin are multiplied by 0.1 ln(factor) + 1
Cost: none
Used by: Qwen2.5 and DeepSeek-V3 beyond their trained length; gpt-oss, with edges='exact'
Paper: Peng et al. 2023, YaRN: Efficient Context Window Extension of Large Language Models
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.position import Scaling

EXAMPLE = dict(factor=4.0, original_context=2048)


@dataclass(frozen=True)
class Yarn(Scaling):
    factor: float
    original_context: int
    fast: float
    slow: float
    edges: str
    magnitude: float = 1.0

    def __call__(self, frequencies: Tensor) -> Tensor:
        ranks = torch.arange(len(frequencies), dtype=torch.float32, device=frequencies.device)
        # frequencies fall by the same ratio from wave to wave
        step = math.log(float(frequencies[0])) - math.log(float(frequencies[-1]))
        step /= max(len(frequencies) - 1, 1)
        first, last = (self._rank(turns, step) for turns in (self.fast, self.slow))
        if self.edges == "whole":
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, 2 * len(frequencies) - 1)
        ramp = ((ranks - first) / max(last - first, 0.001)).clamp(0, 1)
        return frequencies / self.factor * ramp + frequencies * (1 - ramp)

    def _rank(self, turns: float, step: float) -> float:
        return math.log(self.original_context / (2 * math.pi * turns)) / step


def build(
    dims: Dims,
    factor: float,
    original_context: int,
    fast: float = 32.0,
    slow: float = 1.0,
    magnitude: float | None = None,
    edges: str = "whole",
) -> Scaling:
    """`fast` and `slow` are turns per original context above and below which a wave counts as fast or slow.

    `magnitude` replaces the growth 0.1 ln(factor) + 1; the ramp's `edges` stand at "whole" ranks, as in the paper's code, or "exact" ones.
    """
    if factor < 1 or original_context < 1:
        raise VariantError(f"yarn: factor = {factor!r} and original_context = {original_context!r}, expected at least 1")
    if not fast > slow > 0:
        raise VariantError(f"yarn: fast = {fast!r} and slow = {slow!r}, expected fast > slow > 0")
    if edges not in ("whole", "exact"):
        raise VariantError(f"yarn: edges = {edges!r}, expected 'whole' or 'exact'")
    growth = 0.1 * math.log(factor) + 1.0 if magnitude is None else magnitude
    if growth <= 0:
        raise VariantError(f"yarn: magnitude = {magnitude!r}, expected more than 0")
    return Yarn(factor, original_context, fast, slow, edges, growth)
