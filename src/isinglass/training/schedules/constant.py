"""Constant: the same learning rate to the end, after an optional warm-up.

What: 1 at every step after the warm-up.
Why: short fine-tuning, and the plain run that every other schedule is compared with; a run can be prolonged without a new shape.
Math: factor(t) = (t + 1) / (w + 1) for t < w, then 1
Cost: none
Used by: the GPT-2 fine-tuning of most course notebooks
Source: none needed; the warm-up is that of Goyal et al. 2017, Accurate, Large Minibatch SGD, section 2.2
"""

from isinglass.training.schedule import Schedule

EXAMPLE = dict(warmup=10)


class Constant(Schedule):
    def level(self, step: int, first: int, steps: int) -> float:
        return 1.0


def build(warmup: int | float = 0) -> Schedule:
    """`warmup` in steps (int) or as a share of all steps (float)."""
    return Constant(warmup)
