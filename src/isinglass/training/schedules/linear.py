"""Linear: a straight line from the full learning rate down to the floor.

What: the factor falls by the same amount at each step.
Why: decaying to zero in a straight line is as good as the cosine or better when a run sees enough tokens, and it is BERT's own.
Math: factor(t) = floor + (1 - floor) (T - t) / (T - w) after w warm-up steps of T
Cost: none
Used by: BERT, RoBERTa, most fine-tuning
Paper: Devlin et al. 2018, BERT, appendix A.2; Bergsma et al. 2025, Straight to Zero
"""

from isinglass.training.schedule import Schedule, progress

EXAMPLE = dict(warmup=10)


class Linear(Schedule):
    def level(self, step: int, first: int, steps: int) -> float:
        return 1 - progress(step, first, steps)


def build(warmup: int | float = 0.05, floor: float = 0.0) -> Schedule:
    """`warmup` in steps (int) or as a share of all steps (float); `floor` is the share of the learning rate at the end."""
    return Linear(warmup, floor)
