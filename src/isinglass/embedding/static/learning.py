"""The loop that word2vec and FastText share: windows in, steps of the input and output tables out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isinglass.core.errors import ConfigError
from isinglass.core.runtime import derive_seed
from isinglass.embedding.method import Learned, Progress
from isinglass.embedding.static.corpus import Corpus, Vocabulary
from isinglass.embedding.static.hierarchical_softmax import HierarchicalSoftmax
from isinglass.embedding.static.negative_sampling import NegativeSampling
from isinglass.embedding.static.table import Changes
from isinglass.embedding.static.windows import BLOCK, Windows, windows
from isinglass.embedding.word_vectors import WordVectors

Architecture = Literal["skip_gram", "cbow"]
Objective = Literal["negative_sampling", "hierarchical_softmax"]
BLOCKS = 64  # of a step: 2,048 places
SHARED = 16  # negatives of a block
_EVERY = 1.0  # seconds between two reports


class Inputs(Protocol):
    """A table of words, or of words and their parts."""

    def __getitem__(self, ids: Int[Tensor, "*n"]) -> Float[Tensor, "*n d"]: ...

    def learn(self, ids: Int[Tensor, "*n"], gradients: Float[Tensor, "*n d"], lr: float) -> None: ...


class Goal(Protocol):
    """What a vector is asked to tell of a word."""

    def pairs(self, known: Tensor, told: Tensor, weights: Tensor, generator: torch.Generator) -> tuple[float, Tensor, Changes]: ...

    def each(self, known: Tensor, told: Tensor, weights: Tensor, generator: torch.Generator) -> tuple[float, Tensor, Changes]: ...

    def learn(self, changes: Changes, lr: float) -> None: ...


@dataclass(frozen=True)
class Settings:
    """What a run is made of. `subsample` is the share from which on occurrences of a word are left out by chance."""

    architecture: Architecture
    objective: Objective
    d: int
    window: int
    negatives: int
    epochs: int
    lr: float
    subsample: float

    def __post_init__(self) -> None:
        for name in ("d", "window", "negatives", "epochs"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)!r}, expected at least 1")
        if self.lr <= 0 or self.subsample < 0:
            raise ConfigError(f"lr = {self.lr!r}, subsample = {self.subsample!r}: expected above 0, and at least 0")

    def goal(self, vocabulary: Vocabulary) -> Goal:
        """The objective's outputs."""
        if self.objective == "hierarchical_softmax":
            return HierarchicalSoftmax.of(vocabulary, self.d)
        return NegativeSampling.of(vocabulary, self.d, self.negatives, SHARED)


def gradients(
    inputs: Inputs, goal: Goal, architecture: Architecture, seen: Windows, generator: torch.Generator
) -> tuple[float, Changes, Changes]:
    """Loss of some windows, and the gradients of inputs and outputs.

    Skip-gram: a centre's vector tells each of its contexts. CBOW: the mean of the contexts' vectors tells the centre.
    """
    if architecture == "skip_gram":
        loss, gradient, outputs = goal.pairs(inputs[seen.centres], seen.contexts, seen.mask.float(), generator)
        return loss, ((seen.centres, gradient),), outputs
    count = seen.mask.sum(-1, keepdim=True)
    mean = seen.mask / count.clamp(min=1)
    counts = (count > 0)[..., 0].float()  # a centre without contexts tells nothing
    loss, gradient, outputs = goal.each(mean @ inputs[seen.contexts], seen.centres, counts, generator)
    return loss, ((seen.contexts, mean.mT @ gradient),), outputs


def learning(
    corpus: Corpus, settings: Settings, inputs: Inputs, made: Callable[[], WordVectors], seed: int
) -> Iterator[Progress | Learned]:
    """Read the corpus `epochs` times, in an order and with windows drawn anew; the step's length falls to a tenth in equal parts."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "windows"))
    goal, total, done = settings.goal(corpus.vocabulary), len(corpus) * settings.epochs, 0
    begun = last = time.perf_counter()
    loss = told = 0.0
    try:
        for epoch in range(settings.epochs):
            kept = corpus.subsampled(settings.subsample, generator)
            scale, base = len(corpus) / max(1, len(kept)), epoch * len(corpus)
            for number, seen in enumerate(windows(kept, settings.window, blocks=BLOCKS, generator=generator), start=1):
                lr = settings.lr * (1 - 0.9 * done / total)
                found, of_inputs, of_outputs = gradients(inputs, goal, settings.architecture, seen, generator)
                for ids, gradient in of_inputs:
                    inputs.learn(ids, gradient, lr)
                goal.learn(of_outputs, lr)
                done = base + min(len(corpus), int(number * BLOCKS * BLOCK * scale))
                loss, told = loss + found, told + float(seen.mask.sum())
                if (now := time.perf_counter()) - last >= _EVERY:
                    yield Progress(done, total, loss / max(1.0, told), done / (now - begun))
                    loss, told, last = 0.0, 0.0, now
    except KeyboardInterrupt:
        pass  # what was learned so far is kept
    yield Progress(done, total, loss / max(1.0, told), done / max(1e-9, time.perf_counter() - begun))
    yield Learned(made())
