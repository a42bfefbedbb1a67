"""`Method`: one way to learn static word vectors from a corpus. Each stands in `methods/`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from isinglass.embedding.static.corpus import Corpus
from isinglass.embedding.word_vectors import WordVectors


@dataclass(frozen=True)
class Progress:
    """`words` of `total` occurrences were read; `loss` is the mean over those since the last report; `vectors` as they are now."""

    words: int
    total: int
    loss: float
    words_per_second: float


@dataclass(frozen=True, eq=False)
class Learned:
    """The vectors at the end, or where learning was stopped."""

    vectors: WordVectors


class Method(ABC):
    """Finished classes are frozen dataclasses of settings."""

    @abstractmethod
    def learning(self, corpus: Corpus, *, seed: int) -> Iterator[Progress | Learned]:
        """Progress now and then, and at last what was learned; an interrupt ends it early with what there is."""
