"""AdamW: each weight's step is its mean gradient over its root mean square; weight decay stands beside it.

What: Adam with decoupled weight decay, on matrices and embeddings only; norms and biases do not decay. torch's fused kernel does the work.
Why: the step does not depend on the scale of the gradient, so one learning rate serves all layers; what everything else is compared with.
Math: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w = w - lr wd w - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
Cost: two numbers of state per weight
Used by: nearly every language model since 2018
Paper: Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization; Kingma and Ba 2015, Adam
"""

from dataclasses import dataclass

import torch

from isinglass.training.optimizer import NamedParameters, OptimizerRecipe, check_decay, check_positive, check_shares, decay_groups, trained

EXAMPLE = dict(lr=1e-3)


@dataclass(frozen=True)
class AdamW(OptimizerRecipe):
    lr: float
    betas: tuple[float, float]
    eps: float
    weight_decay: float

    def __post_init__(self) -> None:
        check_positive(lr=self.lr, eps=self.eps)
        check_shares(beta1=self.betas[0], beta2=self.betas[1])
        check_decay(self.weight_decay)

    def make(self, named_parameters: NamedParameters) -> torch.optim.Optimizer:
        groups = decay_groups((p for _, p in trained(named_parameters)), self.lr, self.weight_decay)
        # fused: one pass over all weights of a group; the default on the CPU is one chain of small operations for each tensor
        return torch.optim.AdamW(groups, lr=self.lr, betas=self.betas, eps=self.eps, fused=True)


def build(lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.95), eps: float = 1e-8, weight_decay: float = 0.1) -> OptimizerRecipe:
    """`betas` are the memories of the mean and of the square; 0.99 for the square suits small batches."""
    return AdamW(float(lr), betas, eps, weight_decay)
