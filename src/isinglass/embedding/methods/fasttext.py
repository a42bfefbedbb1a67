"""FastText: word2vec over words and their letter n-grams, so that words of one stem share rows and unknown words have vectors.

What: a word's vector is the mean of its own row and of the rows of its n-grams.
Why: "walked" and "walking" learn from each other, and a word that was never seen still has parts that were.
Math: v(word) = mean of z over the word and its n-grams of 3 to 6 letters; the loss is word2vec's
Cost: more rows are read and taught for each word; n-grams share `buckets` rows by their hash
Used by: languages with many word forms, misspelt text, classification on small machines
Paper: Bojanowski et al. 2017, Enriching Word Vectors with Subword Information
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from isinglass.core.runtime import derive_seed
from isinglass.embedding.method import Learned, Method, Progress
from isinglass.embedding.static.corpus import Corpus
from isinglass.embedding.static.learning import Architecture, Objective, Settings, learning
from isinglass.embedding.static.subwords import Subwords
from isinglass.embedding.word_vectors import Ngrams, WordVectors


@dataclass(frozen=True)
class FastText(Method):
    settings: Settings
    shortest: int
    longest: int
    buckets: int

    def learning(self, corpus: Corpus, *, seed: int) -> Iterator[Progress | Learned]:
        generator = torch.Generator().manual_seed(derive_seed(seed, "fasttext"))
        words, d = corpus.vocabulary.words, self.settings.d
        inputs = Subwords.of(words, d, shortest=self.shortest, longest=self.longest, buckets=self.buckets, generator=generator)

        def made() -> WordVectors:
            rows = inputs.table.weights[len(words) : -1].numpy().copy()
            return WordVectors(words, inputs[torch.arange(len(words))].numpy(), Ngrams(self.shortest, self.longest, rows))

        return learning(corpus, self.settings, inputs, made, seed)


def build(
    architecture: Architecture = "skip_gram",
    objective: Objective = "negative_sampling",
    d: int = 100,
    window: int = 5,
    negatives: int = 5,
    epochs: int = 5,
    lr: float = 0.05,
    subsample: float = 1e-3,
    shortest: int = 3,
    longest: int = 6,
    buckets: int = 50_000,
) -> Method:
    """n-grams of `shortest` to `longest` letters in `buckets` rows."""
    return FastText(Settings(architecture, objective, d, window, negatives, epochs, lr, subsample), shortest, longest, buckets)
