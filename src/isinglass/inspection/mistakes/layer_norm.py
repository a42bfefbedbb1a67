"""LayerNorm with each step a choice, and the mistakes in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from isinglass.inspection.mistakes.mistake import Mistake


@dataclass(frozen=True, eq=False)
class NormWeights:
    """None where the class has no such parameter."""

    weight: Tensor | None
    bias: Tensor | None


@dataclass(frozen=True)
class NormSteps:
    """The choices of LayerNorm; the defaults are the definition (Ba et al. 2016)."""

    eps: float = 1e-5
    axes: tuple[int, ...] = (-1,)
    mean: str = "subtracted"
    variance: str = "biased"
    divisor: str = "sqrt(var + eps)"
    weight: str = "multiplied"
    bias: str = "added"


def layer_norm(x: Tensor, weights: NormWeights, steps: NormSteps) -> Tensor:
    """With the default steps equal to `nn.norms.LayerNorm`."""
    axes = steps.axes
    centred = x - x.mean(axes, keepdim=True) if steps.mean == "subtracted" else x
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    spread = x - x.mean(axes, keepdim=True) if steps.mean != "none" else x
    variance = spread.square().sum(axes, keepdim=True) / (count - (steps.variance == "unbiased"))
    scaled = centred / _divisor(variance, steps)
    if weights.weight is not None and steps.weight != "left out":
        scaled = scaled + weights.weight if steps.weight == "added" else scaled * weights.weight
    return scaled + weights.bias if weights.bias is not None and steps.bias == "added" else scaled


def _divisor(variance: Tensor, steps: NormSteps) -> Tensor:
    return {
        "sqrt(var + eps)": lambda: torch.sqrt(variance + steps.eps),
        "sqrt(var) + eps": lambda: torch.sqrt(variance) + steps.eps,
        "var + eps": lambda: variance + steps.eps,
        "sqrt(var)": lambda: torch.sqrt(variance),
        "1": lambda: torch.ones_like(variance),
    }[steps.divisor]()


def _mistake(name: str, words: str, hint: str, **change: Any) -> Mistake[NormSteps]:
    return Mistake(name, words, hint, lambda steps: replace(steps, **change))


_VARIANCE = "var = x.var(dim=-1, keepdim=True, unbiased=False): divided by d_model, not by d_model - 1"
_EPS = "(x - mean) / torch.sqrt(var + eps): eps is added to the variance, under the root"
_AXIS = "mean and var with dim=-1, keepdim=True: over the features of each token alone"

MISTAKES: tuple[Mistake[NormSteps], ...] = (
    _mistake("unbiased_variance", "with the unbiased variance (divided by d_model - 1)", _VARIANCE, variance="unbiased"),
    _mistake("no_eps", "without eps: a token whose features are all equal becomes NaN", _EPS, divisor="sqrt(var)"),
    _mistake("eps_outside", "with eps added to the standard deviation instead of the variance", _EPS, divisor="sqrt(var) + eps"),
    _mistake("eps_1e-6", "with eps = 1e-6", "GPT-2 has eps = 1e-5; if yours is meant so: --args eps=1e-6", eps=1e-6),
    _mistake("eps_1e-8", "with eps = 1e-8", "GPT-2 has eps = 1e-5; if yours is meant so: --args eps=1e-8", eps=1e-8),
    _mistake("eps_1e-12", "with eps = 1e-12", "GPT-2 has eps = 1e-5; if yours is meant so (BERT): --args eps=1e-12", eps=1e-12),
    _mistake("eps_1e-3", "with eps = 1e-3", "GPT-2 has eps = 1e-5; if yours is meant so: --args eps=1e-3", eps=1e-3),
    _mistake("divided_by_variance", "divided by the variance instead of its root", _EPS, divisor="var + eps"),
    _mistake("not_divided", "without dividing: only the mean is taken away", _EPS, divisor="1"),
    _mistake("mean_kept", "without subtracting the mean", "(x - mean) / torch.sqrt(var + eps)", mean="kept"),
    _mistake(
        "rms_norm", "as RMSNorm: no mean at all", "(x - mean) / torch.sqrt(var + eps); if RMSNorm is meant, yours is right", mean="none"
    ),
    _mistake("over_time", "over the positions (dim=1) instead of the features", _AXIS, axes=(1,)),
    _mistake("over_batch", "over the batch (dim=0), as BatchNorm, instead of the features", _AXIS, axes=(0,)),
    _mistake("over_batch_and_time", "over batch and positions, as BatchNorm, instead of the features", _AXIS, axes=(0, 1)),
    _mistake("over_time_and_features", "over positions and features together, so that tokens depend on one another", _AXIS, axes=(1, 2)),
    _mistake("over_everything", "over the whole tensor instead of the features of each token", _AXIS, axes=(0, 1, 2)),
    _mistake("weight_not_used", "without the weight (scale, gamma)", "return weight * normalised + bias", weight="left out"),
    _mistake("weight_added", "with the weight added instead of multiplied", "return weight * normalised + bias", weight="added"),
    _mistake("bias_not_used", "without the bias (shift, beta)", "return weight * normalised + bias", bias="left out"),
)
