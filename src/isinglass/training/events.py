"""What training reports on its way. Curves, progress bars, files and tests all read these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isinglass.training.run import Run


@dataclass(frozen=True)
class Started:
    """Before the first step: how much there is to do, `step` being where a resumed run goes on."""

    step: int
    steps: int
    n_examples: int
    n_validation_examples: int
    n_trained: int  # weights that change
    n_weights: int
    kept_bytes: int = 0  # of what lower blocks make of the examples, computed once (training.reuse)


@dataclass(frozen=True)
class StepDone:
    """One step of the optimizer. `loss` is in nats per target, the gradient's norm is that before clipping."""

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    n_tokens: int  # read in this step, padding not counted
    seconds: float
    figures: Mapping[str, float] = field(default_factory=dict)
    mfu: float | None = None  # model FLOPs utilisation: a share of what a large matrix product reaches here (training.accounting)

    @property
    def tokens_per_second(self) -> float:
        return self.n_tokens / self.seconds


@dataclass(frozen=True)
class Evaluated:
    """The validation set at a step: `figures` has at least `loss`; `best` says whether no earlier loss was lower."""

    step: int
    figures: Mapping[str, float]
    best: bool
    seconds: float

    @property
    def loss(self) -> float:
        return self.figures["loss"]


@dataclass(frozen=True)
class Sampled:
    """What the model writes at a step."""

    step: int
    prompt: str
    text: str


@dataclass(frozen=True)
class Saved:
    """A checkpoint from which training can go on exactly, or (`best`) the best model so far."""

    step: int
    path: Path
    best: bool = False


@dataclass(frozen=True)
class Finished:
    """The last event. `reason`: steps (all done) or patience (no better evaluation for too long)."""

    step: int
    reason: str
    run: Run


TrainEvent = Started | StepDone | Evaluated | Sampled | Saved | Finished
