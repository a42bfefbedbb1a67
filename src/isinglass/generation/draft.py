"""What a draft is: something cheap that proposes the next tokens, which the model then checks in one pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from isinglass.generation.decoding import Job
from isinglass.generation.sampling import Chooser, Row


@dataclass(frozen=True)
class Proposal:
    """Tokens proposed for one row, and the distribution each was drawn from (all of it on one token when there was no choice)."""

    ids: list[int]
    laws: Float[Tensor, "time vocab"]


class Drafting(ABC):
    """A draft at work in one call of generate."""

    @abstractmethod
    def propose(self, rows: Sequence[Row], limits: Sequence[int]) -> list[Proposal]:
        """At most `limits[row]` next tokens for each row, which is not changed. Whatever is proposed, the result's law is the model's."""


class Draft(ABC):
    """A way to propose tokens; holds no state of a call."""

    @abstractmethod
    def start(self, job: Job, chooser: Chooser, n_tokens: int) -> Drafting:
        """Begin a call: `chooser` turns logits into the law that tokens are drawn from, `n_tokens` is the most proposed at once."""
