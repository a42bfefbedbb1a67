"""A text as word numbers: the vocabulary, the sentences, and which occurrences of frequent words are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isinglass.core.errors import DataError
from isinglass.embedding.contextual import words


@dataclass(frozen=True)
class Vocabulary:
    """Words by frequency, the most frequent first, with how often each occurs."""

    words: tuple[str, ...]
    counts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.words)


@dataclass(frozen=True, eq=False)
class Corpus:
    """`ids [occurrence]` are places in the vocabulary, `sentence [occurrence]` the number of the sentence, which no window
    crosses."""

    vocabulary: Vocabulary
    ids: Tensor
    sentence: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def subsampled(self, threshold: float, generator: torch.Generator) -> Corpus:
        """Without some occurrences of frequent words: one of a word with share f stays with a chance of sqrt(threshold / f)
        (Mikolov et al. 2013, section 2.3); 0 keeps all."""
        if threshold <= 0:
            return self
        counts = torch.tensor(self.vocabulary.counts, dtype=torch.float64)
        chance = (threshold * counts.sum() / counts).sqrt().clamp(max=1)
        kept = torch.rand(len(self.ids), generator=generator, dtype=torch.float64) < chance[self.ids]
        return Corpus(self.vocabulary, self.ids[kept], self.sentence[kept])


def corpus(texts: Iterable[str], *, min_count: int = 5) -> Corpus:
    """Read sentences (each text is one); words that occur less than `min_count` times are left out.

    Raises DataError when fewer than two words are left.

    >>> corpus(["the cat and the dog", "the cat"], min_count=2).vocabulary.words
    ('the', 'cat')
    """
    sentences = [[word for word in words(text) if word] for text in texts]
    counts = Counter(word for sentence in sentences for word in sentence)
    known = sorted((word for word, count in counts.items() if count >= min_count), key=lambda word: (-counts[word], word))
    if len(known) < 2:
        raise DataError(
            f"{len(known)} words occur at least {min_count} times in {len(sentences)} texts", hint="a larger text, or a smaller min_count"
        )
    vocabulary = Vocabulary(tuple(known), tuple(counts[word] for word in known))
    place = {word: number for number, word in enumerate(known)}
    numbered = [[place[word] for word in sentence if word in place] for sentence in sentences]
    ids = np.fromiter((one for sentence in numbered for one in sentence), np.int64)
    sentence = np.repeat(np.arange(len(numbered)), [len(sentence) for sentence in numbered])
    return Corpus(vocabulary, torch.from_numpy(ids), torch.from_numpy(sentence))


def count_words(texts: Sequence[str]) -> int:
    """How many words texts have."""
    return sum(len(words(text)) for text in texts)
