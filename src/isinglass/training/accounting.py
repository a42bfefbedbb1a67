"""What a run does with its machine: the share of the machine's arithmetic it uses, and its memory, predicted and measured."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from isinglass.models.cost import StepMemory, step_flops, step_memory
from isinglass.models.encoder import Encoder
from isinglass.models.headed import HeadedModel
from isinglass.models.machine import peak_rate
from isinglass.models.transformer import Decoder
from isinglass.nn.loss import rows_at_once
from isinglass.training.config import TrainConfig
from isinglass.training.objective import Batch

_STATM = Path("/proc/self/statm")


@dataclass(frozen=True)
class MemoryUse:
    """Bytes of a step as predicted from the model, and by how much the process grew beyond what it held before the first step.

    The weights were there before, so the growth is to be compared with all but them. None: no batch of this model can be predicted.
    """

    predicted: StepMemory | None
    grown_bytes: int | None  # None where the system does not say

    @property
    def predicted_growth(self) -> int | None:
        """Gradients, optimizer and activations; what is freed after the forward pass and what libraries keep for themselves is left out."""
        found = self.predicted
        return None if found is None else found.gradients + found.optimizer + found.activations

    def rows(self) -> dict[str, int]:
        """In bytes, by the names shown."""
        predicted = {} if self.predicted is None else self.predicted.rows()
        growth = {} if self.predicted_growth is None else {"predicted growth": self.predicted_growth}
        return {**predicted, **growth, **({} if self.grown_bytes is None else {"measured growth": self.grown_bytes})}


class Account:
    """Follows the steps of one process. FLOPs are the model's own: a pass forward and backward over the ids of each batch.

    What an objective does beside that (a reference model, writing responses) and what is computed twice to save memory is not counted, as
    is the custom (Chowdhery et al. 2022, PaLM, appendix B). Encoder-decoders are not counted: their two texts differ in length.
    """

    def __init__(self, model: nn.Module, config: TrainConfig, first_block: int = 0) -> None:
        self.model = model if isinstance(model, Decoder | Encoder | HeadedModel) else None
        self.config, self.first_block = config, first_block
        self._dtype = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
        self._flops = cache(self._flops_of)
        self._largest = (0, 0)
        self._held_before, self._high_before, self._most = resident_bytes(), _high_water(), 0

    def look(self) -> None:
        """Note how much memory the process holds now: called where a step holds most."""
        self._most = max(self._most, resident_bytes())

    def utilisation(self, batches: Sequence[Batch], seconds: float) -> float | None:
        """Model FLOPs per second as a share of what a large matrix product reaches here, in the same number format and threads."""
        shapes = [(batch.ids.shape[0], batch.ids.shape[1]) for batch in batches]
        self._largest = max(self._largest, *shapes, key=lambda shape: shape[0] * shape[1])
        if self.model is None:
            return None
        device = next(self.model.parameters()).device
        return sum(self._flops(shape) for shape in shapes) / seconds / peak_rate(self._dtype, device, torch.get_num_threads())

    def _flops_of(self, shape: tuple[int, int]) -> int:
        assert self.model is not None
        return step_flops(self.model, *shape, first_block=self.first_block)

    def memory(self) -> MemoryUse:
        """Predicted for the largest batch so far; measured up to now."""
        high = _high_water()
        # the high-water mark of the whole process says something about training only if training raised it
        most = high if high > self._high_before else self._most
        return MemoryUse(self._predicted(), max(0, most - self._held_before) if self._held_before else None)

    def _predicted(self) -> StepMemory | None:
        if self.model is None or not self._largest[0]:
            return None
        given: dict[str, Any] = {"activations": self.config.activations, "held_logits": rows_at_once(self.model.config.vocab_size)}
        whole = step_memory(self.model, *self._largest, **given)
        narrow = step_memory(self.model, *self._largest, self._dtype.itemsize, **given)
        return StepMemory(whole.weights, whole.gradients, whole.optimizer, narrow.activations)


def resident_bytes() -> int:
    """What this process holds in memory now; where the system does not say, the most it ever held; 0 where it says neither."""
    if not _STATM.exists():
        return _high_water()
    return int(_STATM.read_text().split()[1]) * mmap.PAGESIZE


def _high_water() -> int:
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
