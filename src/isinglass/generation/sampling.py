"""What filters and strategies are, and drawing one token from logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import EngineError
from isinglass.core.runtime import derive_seed
from isinglass.generation import strategies

HIDDEN = float("-inf")


class Filter(ABC):
    """Changes the logits of one row. Works on the whole vocabulary; a token at -inf cannot be drawn."""

    @abstractmethod
    def __call__(self, logits: Float[Tensor, "vocab"], ids: Sequence[int]) -> Float[Tensor, "vocab"]:
        """`ids` are the row's tokens so far, prompt included."""


@dataclass
class Row:
    """One row of a batch: its tokens so far and its own stream of random numbers, so that batch mates change nothing."""

    ids: list[int]
    generator: torch.Generator

    @classmethod
    def start(cls, ids: Sequence[int], seed: int, number: int) -> Row:
        return cls(list(ids), torch.Generator().manual_seed(derive_seed(seed, number)))


class Strategy:
    """How tokens are chosen: a `Chooser` takes one per row and step, a `Procedure` (decoding.py) runs the model its own way."""

    def with_temperature(self, temperature: float) -> Strategy | None:
        """The same strategy at a temperature; None when it has no such setting or has one already."""
        return None


class Chooser(Strategy, ABC):
    """Chooses the next token of each row from the logits at its end."""

    @abstractmethod
    def choose(self, logits: Float[Tensor, "batch vocab"], rows: Sequence[Row]) -> list[int]: ...

    @abstractmethod
    def law(self, logits: Float[Tensor, "vocab"], ids: Sequence[int]) -> Float[Tensor, "vocab"]:
        """Logits whose softmax is the distribution `choose` draws from in a row that holds `ids` so far."""


def draw(logits: Float[Tensor, "vocab"], generator: torch.Generator) -> int:
    """One token id with probability softmax(logits): the point where the cumulative sum passes a uniform number.

    The sum is in fp64: over 50,000 tokens an fp32 sum loses the tail that a high temperature needs.
    """
    probabilities = logits.double().softmax(dim=-1)
    cumulative = probabilities.cumsum(dim=-1)
    point = torch.rand((), generator=generator, dtype=torch.float64) * cumulative[-1]
    index = int(torch.searchsorted(cumulative, point, right=True))
    # the last token of probability > 0 when rounding puts the point at the very end
    return index if index < len(logits) else int(probabilities.nonzero()[-1])


def choose_strategy(strategy: str | Strategy, temperature: float | None) -> Strategy:
    """The strategy object, with the keyword temperature put in; EngineError when it is given twice or means nothing."""
    chooser = strategies.family.resolve(strategy, where="strategy")
    if temperature is None:
        return chooser
    # build a sampler at that temperature first: it refuses a negative one with its own message
    strategies.family.module("sample").build(temperature=temperature)
    heated = chooser.with_temperature(temperature)
    if heated is None:
        raise EngineError(
            f"temperature = {temperature!r} beside strategy {str(strategy)!r}, which has a temperature already or none at all",
            hint="give the temperature once: strategy='sample', temperature=0.8",
        )
    return heated
