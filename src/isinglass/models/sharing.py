"""A second form of a model over the same weights."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


def sharing(model: M) -> M:
    """A copy whose parts can be replaced, while no weight is copied: all are frozen in the copy and stay as they were in the original.

    >>> linear = nn.Linear(2, 2)
    >>> twin = sharing(linear)
    >>> twin.weight.data_ptr() == linear.weight.data_ptr(), twin.weight.requires_grad, linear.weight.requires_grad
    (True, False, True)
    """
    # parameters of its own, not the same objects: freezing these must not freeze those of a model in training
    weights: dict[int, object] = {id(weight): nn.Parameter(weight.detach(), requires_grad=False) for weight in model.parameters()}
    return copy.deepcopy(model, memo=weights)
