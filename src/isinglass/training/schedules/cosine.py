"""Cosine: slow at first, fast in the middle, slow again towards the floor.

What: half a period of a cosine from the full learning rate down to `floor` of it.
Why: most of the run at a high rate, and a soft landing; the default of language models since GPT-3. Must know the length of the run.
Math: factor(t) = floor + (1 - floor) (1 + cos(pi (t - w) / (T - w))) / 2 after w warm-up steps of T
Cost: none
Used by: GPT-3, Llama, Pythia
Paper: Loshchilov and Hutter 2017, SGDR: Stochastic Gradient Descent with Warm Restarts (without the restarts)
"""

import math

from isinglass.training.schedule import Schedule, progress

EXAMPLE = dict(warmup=0.05, floor=0.1)


class Cosine(Schedule):
    def level(self, step: int, first: int, steps: int) -> float:
        return (1 + math.cos(math.pi * progress(step, first, steps))) / 2


def build(warmup: int | float = 0.05, floor: float = 0.1) -> Schedule:
    """`warmup` in steps (int) or as a share of all steps (float); `floor` is the share of the learning rate at the end."""
    return Cosine(warmup, floor)
