"""word2vec: a word's vector is what tells the words around it.

What: two tables, one for the word that is known and one for the word that is told; the first is kept.
Why: words that stand in like places get like vectors, without anybody saying what they mean.
Math: skip-gram: the centre tells each context; CBOW: the mean of the contexts tells the centre. Negative sampling or hierarchical softmax
Cost: a few products per pair; windows are computed as bands of small matrices, negatives are shared within a block
Used by: the embedding layers before 2018
Paper: Mikolov et al. 2013, Efficient Estimation of Word Representations; Distributed Representations of Words and Phrases
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from isinglass.core.runtime import derive_seed
from isinglass.embedding.method import Learned, Method, Progress
from isinglass.embedding.static.corpus import Corpus
from isinglass.embedding.static.learning import Architecture, Objective, Settings, learning
from isinglass.embedding.static.table import Table
from isinglass.embedding.word_vectors import WordVectors


@dataclass(frozen=True)
class Word2Vec(Method):
    settings: Settings

    def learning(self, corpus: Corpus, *, seed: int) -> Iterator[Progress | Learned]:
        generator = torch.Generator().manual_seed(derive_seed(seed, "word2vec"))
        inputs = Table.drawn(len(corpus.vocabulary), self.settings.d, generator)
        return learning(corpus, self.settings, inputs, lambda: WordVectors(corpus.vocabulary.words, inputs.weights.numpy().copy()), seed)


def build(
    architecture: Architecture = "skip_gram",
    objective: Objective = "negative_sampling",
    d: int = 100,
    window: int = 5,
    negatives: int = 5,
    epochs: int = 5,
    lr: float = 0.05,
    subsample: float = 1e-3,
) -> Method:
    """`d` numbers for each word; `negatives` are for negative sampling alone."""
    return Word2Vec(Settings(architecture, objective, d, window, negatives, epochs, lr, subsample))
