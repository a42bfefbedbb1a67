"""How far a policy has moved from its reference: estimates of their Kullback-Leibler divergence from single samples, in nats.

For x drawn from the policy and d = log policy(x) - log reference(x): k1 = d is right on average but noisy and often below zero, although
no divergence is; k2 = d^2 / 2 is never below zero and a little off; k3 = exp(-d) - 1 + d is right on average and never below zero.

Source: Schulman 2020, Approximating KL Divergence.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

LogProbs = Float[Tensor, "*tokens"]


def k1(policy: LogProbs, reference: LogProbs) -> LogProbs:
    """The log-ratio itself: what PPO takes off the reward, since its mean over samples is the divergence."""
    return policy - reference


def k2(policy: LogProbs, reference: LogProbs) -> LogProbs:
    """Half the squared log-ratio: small bias while the two are near, and never below zero."""
    return (policy - reference).square() / 2


def k3(policy: LogProbs, reference: LogProbs) -> LogProbs:
    """The log-ratio with a term of mean zero added, so that no sample is below zero: what is read while training.

    >>> import torch
    >>> policy, reference = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
    >>> drawn = k3(policy.log(), reference.log())  # for each of the two outcomes
    >>> print(round(float((policy * drawn).sum()), 4), round(float((policy * (policy / reference).log()).sum()), 4))
    0.5108 0.5108
    """
    log_ratio = policy - reference
    return (-log_ratio).expm1() + log_ratio
