"""The arithmetic of PPO: what each token earned, how much better that was than expected, and the clipped losses.

Every tensor is (batch, time) with the tokens of a response on the left; `valid` is False behind its end.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from isinglass.training.divergence import k1

Numbers = Float[Tensor, "batch time"]
Valid = Bool[Tensor, "batch time"]


def token_rewards(scores: Float[Tensor, "batch"], policy: Numbers, reference: Numbers, valid: Valid, kl: float) -> Numbers:
    """-kl k1 at every token, and the score of the whole response at its last one.

    Source: Ziegler et al. 2019, Fine-Tuning Language Models from Human Preferences, equation 2.
    """
    rewards = torch.where(valid, -kl * k1(policy, reference), 0.0)
    last = valid.sum(dim=1, keepdim=True) - 1
    return rewards.scatter_add(1, last, scores[:, None].to(rewards.dtype))


def estimate_advantages(rewards: Numbers, values: Numbers, valid: Valid, *, discount: float, trace: float) -> tuple[Numbers, Numbers]:
    """Generalised advantages, and the returns (advantage + value) that values are to predict; nothing is expected behind the end.

    delta_t = r_t + discount V_(t+1) - V_t;  A_t = delta_t + discount trace A_(t+1). `trace` (lambda) 1 trusts what was earned, 0 the
    values.

    Source: Schulman et al. 2016, High-Dimensional Continuous Control Using Generalized Advantage Estimation, equation 16.

    >>> rewards = values = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    >>> advantages, returns = estimate_advantages(rewards, values, values >= 0, discount=0.9, trace=0.95)
    >>> [round(x, 4) for x in returns[0].tolist()]
    [0.6579, 0.7695, 0.9, 1.0]
    """
    values = torch.where(valid, values, 0.0)
    advantages = torch.zeros_like(values)
    after_advantage = after_value = torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + discount * after_value - values[:, t]
        after_advantage = torch.where(valid[:, t], delta + discount * trace * after_advantage, 0.0)
        after_value = values[:, t]
        advantages[:, t] = after_advantage
    return advantages, advantages + values


def whiten(numbers: Float[Tensor, "count"]) -> Float[Tensor, "count"]:
    """Mean 0 and standard deviation 1, so that the size of rewards does not set the size of a step; numbers that are all equal become 0.

    The mean is taken off and not put back: what did worse than the average of its batch becomes less likely.

    >>> whiten(torch.tensor([5.0, 7.0])).tolist()
    [-1.0, 1.0]
    """
    centred = numbers - numbers.mean()
    return centred / (centred.square().mean().sqrt() + 1e-8)


def clipped_policy_loss(policy: Numbers, before: Numbers, advantages: Numbers, clip: float) -> Numbers:
    """-min(r A, clip(r) A) at each token, r = policy / before: nothing is gained by moving a token's probability beyond 1 +- clip.

    Source: Schulman et al. 2017, Proximal Policy Optimization Algorithms, equation 7.

    >>> one = torch.ones(1, 1)
    >>> print(round(float(clipped_policy_loss(one, 0 * one, one, clip=0.2)), 4))  # the ratio e counts as 1.2
    -1.2
    """
    ratio = (policy - before).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)


def clipped_value_loss(values: Numbers, before: Numbers, returns: Numbers, clip: float) -> Numbers:
    """Half the squared error, the larger of that of the values and that of the values kept within `clip` of what they were.

    Source: the practice of OpenAI Baselines, as described by Huang et al. 2022, The 37 Implementation Details of PPO, detail 9.
    """
    near = before + (values - before).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns).square(), (near - returns).square())
