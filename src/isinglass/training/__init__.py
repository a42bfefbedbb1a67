"""Changing weights: one loop for every objective.

`ig.training(...)` is a function and this folder is its home. Python makes submodules attributes of their package, so the name
`ig.training` becomes this module as soon as anything in it is imported; the module therefore can be called, and calls the function.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isinglass.training.events import TrainEvent


class _Training(ModuleType):
    def __call__(self, *given: Any, **options: Any) -> Iterator[TrainEvent]:
        from isinglass.training.loop import training

        return training(*given, **options)


sys.modules[__name__].__class__ = _Training
