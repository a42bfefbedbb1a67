"""Decoding beyond one token per step: what such a strategy is given, and a model that can take back what it has read."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.generation.lm import LM
from isinglass.generation.prompts import pad_left
from isinglass.generation.results import TokenOut
from isinglass.generation.sampling import Row, Strategy
from isinglass.generation.writer import Writer
from isinglass.models.cache import cache_dims
from isinglass.nn.attention.caches.contiguous import Contiguous


@dataclass(frozen=True)
class Job:
    """One call of generate: the ids of its prompts, and for each a writer, which knows when its row is done."""

    lm: LM
    prompt_ids: list[list[int]]
    writers: list[Writer]
    seed: int | Sequence[int]  # of the call, or of each row
    began: float = field(default_factory=time.perf_counter)

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return max(map(len, self.prompt_ids))

    def rows(self) -> list[Row]:
        """Each row at its start, with its own stream of random numbers."""
        if isinstance(self.seed, int):
            return [Row.start(ids, self.seed, number) for number, ids in enumerate(self.prompt_ids)]
        return [Row.start(ids, seed, 0) for ids, seed in zip(self.prompt_ids, self.seed, strict=True)]

    def room(self, row: int) -> int:
        """New tokens that a row may have: `max_tokens`, or what the context allows (the last token need not be read)."""
        return min(self.writers[row].max_tokens, self.lm.decoder.config.context_length + 1 - len(self.prompt_ids[row]))

    def seconds(self) -> float:
        """Since the call."""
        return time.perf_counter() - self.began

    def full(self, row: int, n_new: int) -> bool:
        """Whether a row with so many new tokens has filled the context."""
        return len(self.prompt_ids[row]) + n_new > self.lm.decoder.config.context_length


class Procedure(Strategy, ABC):
    """A strategy that runs the model its own way: several beams, or several tokens in one pass."""

    @abstractmethod
    def decode(self, job: Job) -> Iterator[TokenOut]:
        """The tokens of all rows; those of one row in order, and none after its writer has finished."""


class Reader:
    """A model that reads several texts, each at its own pace, and can take back what it has read.

    All rows share one cache. Where a row has nothing new, or takes tokens back while others keep theirs, padding stands.
    So `capacity` must hold the longest prompt and the new tokens of all rows together.
    """

    def __init__(self, lm: LM, *, batch: int, capacity: int) -> None:
        self.model = lm.packed()
        self.device = lm.device
        self.cache = Contiguous(cache_dims(self.model, batch=batch, capacity=capacity))
        self.texts: list[list[int]] = [[] for _ in range(batch)]

    @torch.inference_mode()
    def read(self, texts: Sequence[Sequence[int]], n_last: Sequence[int]) -> Float[Tensor, "batch last vocab"]:
        """Read the texts as far as they are new; logits after the last `n_last[row]` tokens of each, aligned at the end."""
        known = [min(shared(old, new), len(new) - last) for old, new, last in zip(self.texts, texts, n_last, strict=True)]
        if any(n < len(text) for n, text in zip(known, self.texts, strict=True)):
            self.cache.keep(torch.tensor(known, device=self.device))
        ids, slots = pad_left([text[n:] for text, n in zip(texts, known, strict=True)], self.device, known)
        hidden = self.model.hidden(ids, slots=slots, cache=self.cache)[:, -max(n_last) :]
        self.texts = [list(text) for text in texts]
        return self.model.logits(hidden).float().cpu()


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many first tokens are the same.

    >>> shared([1, 2, 3], [1, 2, 9, 3])
    2
    """
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
