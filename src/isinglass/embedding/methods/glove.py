"""GloVe: vectors whose products are the logarithms of how often words stand together.

What: counts all pairs within a window once, nearer pairs for more, and fits products of vectors to the logarithms of the counts.
Why: the ratios of such counts carry meaning, and the counts hold all that the corpus says of pairs.
Math: sum over pairs of f(X) (w . c + b_w + b_c - log X)^2, f(X) = min(1, (X / x_max)^0.75); the vector is w + c
Cost: one pass over the corpus for the counts; then each epoch costs as many products as there are different pairs
Used by: the embedding layers before 2018, beside word2vec
Paper: Pennington, Socher and Manning 2014, GloVe: Global Vectors for Word Representation
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isinglass.core.errors import ConfigError
from isinglass.core.runtime import derive_seed
from isinglass.embedding.method import Learned, Method, Progress
from isinglass.embedding.static.corpus import Corpus
from isinglass.embedding.static.table import Table
from isinglass.embedding.word_vectors import WordVectors

_BATCH = 16_384  # pairs of a step


@dataclass(frozen=True, eq=False)
class Counts:
    """How often `first` and `second` stand together, weighted by 1 / distance; every pair in both orders."""

    first: Int[Tensor, "pairs"]
    second: Int[Tensor, "pairs"]
    counts: Float[Tensor, "pairs"]


def cooccurrences(corpus: Corpus, window: int) -> Counts:
    """The pairs of a corpus within `window` places of one sentence.

    >>> from isinglass.embedding.static.corpus import corpus
    >>> found = cooccurrences(corpus(["a b c"], min_count=1), 2)
    >>> sorted(zip(found.first.tolist(), found.second.tolist(), found.counts.tolist()))
    [(0, 1, 1.0), (0, 2, 0.5), (1, 0, 1.0), (1, 2, 1.0), (2, 0, 0.5), (2, 1, 1.0)]
    """
    n_words, keys, weights = len(corpus.vocabulary), [], []
    for distance in range(1, window + 1):
        same = corpus.sentence[distance:] == corpus.sentence[:-distance]
        left, right = corpus.ids[:-distance][same], corpus.ids[distance:][same]
        keys += [left * n_words + right, right * n_words + left]
        weights += [torch.full((2 * len(left),), 1 / distance)]
    pairs, place = torch.cat(keys).unique(return_inverse=True)
    counts = torch.zeros(len(pairs)).index_add_(0, place, torch.cat(weights))
    return Counts(pairs // n_words, pairs % n_words, counts)


@dataclass(frozen=True)
class GloVe(Method):
    d: int
    window: int
    epochs: int
    lr: float
    x_max: float

    def learning(self, corpus: Corpus, *, seed: int) -> Iterator[Progress | Learned]:
        generator = torch.Generator().manual_seed(derive_seed(seed, "glove"))
        pairs = cooccurrences(corpus, self.window)
        words, contexts = (Table.drawn(len(corpus.vocabulary), self.d + 1, generator) for _ in range(2))  # the last number is the bias
        total, begun = len(corpus) * self.epochs, time.perf_counter()
        done, loss = 0, 0.0
        try:
            for epoch in range(self.epochs):
                loss = 0.0
                for rows in torch.randperm(len(pairs.counts), generator=generator).split(_BATCH):
                    some = Counts(pairs.first[rows], pairs.second[rows], pairs.counts[rows])
                    found, of_words, of_contexts = gradients(words, contexts, some, self.x_max)
                    words.learn(some.first, of_words, self.lr)
                    contexts.learn(some.second, of_contexts, self.lr)
                    loss += found
                done = (epoch + 1) * len(corpus)
                yield Progress(done, total, loss / len(pairs.counts), done / (time.perf_counter() - begun))
        except KeyboardInterrupt:
            pass  # what was learned so far is kept
        yield Learned(WordVectors(corpus.vocabulary.words, (words.weights + contexts.weights)[:, :-1].numpy().copy()))


def gradients(words: Table, contexts: Table, pairs: Counts, x_max: float) -> tuple[float, Tensor, Tensor]:
    """Loss of some pairs, and the gradients of their rows `[pair, d + 1]`; the last number of a row is its bias."""
    w, c = words[pairs.first], contexts[pairs.second]
    error = (w[:, :-1] * c[:, :-1]).sum(1) + w[:, -1] + c[:, -1] - pairs.counts.log()
    weight = (pairs.counts / x_max).clamp(max=1) ** 0.75
    pull = 2 * weight * error
    one = torch.ones(len(pull), 1, dtype=w.dtype)
    return float((weight * error**2).sum()), pull[:, None] * torch.cat([c[:, :-1], one], 1), pull[:, None] * torch.cat([w[:, :-1], one], 1)


def build(d: int = 100, window: int = 8, epochs: int = 15, lr: float = 0.05, x_max: float = 10.0) -> Method:
    """`x_max` is the count from which on pairs count in full (100 in the paper, for corpora a thousand times as large)."""
    for name, value in (("d", d), ("window", window), ("epochs", epochs)):
        if value < 1:
            raise ConfigError(f"{name} = {value!r}, expected at least 1")
    if lr <= 0 or x_max <= 0:
        raise ConfigError(f"lr = {lr!r}, x_max = {x_max!r}: expected above 0")
    return GloVe(d, window, epochs, lr, x_max)
