"""WSD: warm up, stay, decay: a long plateau and a short fall at the end.

What: the full learning rate until the last part of the run (`decay`: a share of all steps, or a number of them), then down to `floor`.
Why: a run can be prolonged from any point of the plateau, and one plateau serves many lengths; a fall over a fifth of the run is as
     good as a cosine over all of it.
Math: x = progress through the decay, 0 to 1. linear: 1 - x. sqrt: 1 - sqrt(x). cosine: (1 + cos(pi x)) / 2. Each from 1 to floor
Cost: none
Used by: MiniCPM, DeepSeek-V3 in its own form, SmolLM2 (linear)
Paper: Hu et al. 2024, MiniCPM; Hägele et al. 2024, Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations (sqrt)
"""

import math
from dataclasses import dataclass
from typing import Literal

from isinglass.training.schedule import Schedule, check_length, n_steps, progress

EXAMPLE = dict(warmup=10, decay=0.2, shape="sqrt")


@dataclass(frozen=True)
class WSD(Schedule):
    decay: int | float = 0.2
    shape: str = "linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_length("decay", self.decay)

    def level(self, step: int, first: int, steps: int) -> float:
        x = progress(step, max(first, steps - n_steps(self.decay, steps)), steps)
        return {"linear": 1 - x, "sqrt": 1 - math.sqrt(x), "cosine": (1 + math.cos(math.pi * x)) / 2}[self.shape]


def build(
    warmup: int | float = 0.05, decay: int | float = 0.2, floor: float = 0.0, shape: Literal["linear", "sqrt", "cosine"] = "linear"
) -> Schedule:
    """`warmup` and `decay` in steps (int) or as shares of all steps (float); `floor` is the share of the learning rate at the end."""
    return WSD(warmup, floor, decay, shape)
