"""OptimizerRecipe: which rule moves which parameters; makes a torch optimizer whose groups say what the schedule multiplies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import torch
from torch.nn import Parameter

from isinglass.core.errors import ConfigError, VariantError

NamedParameters: TypeAlias = Sequence[tuple[str, Parameter]]
Group: TypeAlias = dict[str, Any]  # what torch calls a param group


class OptimizerRecipe(ABC):
    """Settings of an optimizer, before there is anything to optimize.

    Every group of what `make` returns carries "base_lr": a step sets group["lr"] = group["base_lr"] * schedule.factor(step, steps).
    The state of the optimizer goes through `state_dict` and back without a change of a bit, so that a run can be resumed exactly.
    """

    @abstractmethod
    def make(self, named_parameters: NamedParameters) -> torch.optim.Optimizer:
        """An optimizer of those parameters that are trained (requires_grad). ConfigError when there are none."""


def trained(named_parameters: NamedParameters) -> list[tuple[str, Parameter]]:
    """Those that ask for gradients; ConfigError when none does."""
    found = [(name, parameter) for name, parameter in named_parameters if parameter.requires_grad]
    if not found:
        raise ConfigError(
            f"none of {len(named_parameters)} parameters is to be trained", hint="train with strategy='all', or with an adapter"
        )
    return found


def decays(parameter: Parameter) -> bool:
    """Weight decay is for matrices and tables; norms and biases are too few to overfit, and a norm that shrinks only undoes itself.

    Source: GPT-3 (Brown et al. 2020) and minGPT's practice; Radford et al. 2018, section 4.1, for the exception of gains and biases.
    """
    return parameter.dim() >= 2


def decay_groups(parameters: Iterable[Parameter], lr: float, weight_decay: float) -> list[Group]:
    """Two groups, with and without weight decay; one that would be empty is left out."""
    everything = list(parameters)
    parts = ((weight_decay, [p for p in everything if decays(p)]), (0.0, [p for p in everything if not decays(p)]))
    return [{"params": chosen, "lr": lr, "base_lr": lr, "weight_decay": share} for share, chosen in parts if chosen]


def check_positive(**values: float) -> None:
    """VariantError for a learning rate and the like that is 0 or below, or not a number."""
    for name, value in values.items():
        if not 0 < value < float("inf"):
            raise VariantError(f"{name} = {value!r}, expected a number above 0")


def check_shares(**values: float) -> None:
    """VariantError for a memory (a beta, a momentum) that is not in [0, 1)."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise VariantError(f"{name} = {value!r}, expected from 0 to below 1", hint="0.9 looks back about 10 steps, 0.99 about 100")


def check_decay(weight_decay: float) -> None:
    """VariantError for a negative weight decay."""
    if not 0 <= weight_decay < float("inf"):
        raise VariantError(
            f"weight_decay = {weight_decay!r}, expected 0 or more", hint="0.1 is usual for pretraining, 0.01 for fine-tuning"
        )
