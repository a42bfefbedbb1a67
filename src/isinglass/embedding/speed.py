"""Words per second of word2vec here and in gensim, over the same sentences, in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from isinglass.core.errors import ExtraMissing
from isinglass.embedding.methods import family
from isinglass.embedding.static.corpus import corpus
from isinglass.embedding.static.learning import Architecture


@dataclass(frozen=True)
class WordSpeed:
    """Medians over rounds, in words of the text per second; `ratio` is the median of the rounds' ratios."""

    architecture: str
    ours: float
    gensim: float
    ratio: float

    def row(self) -> dict[str, Any]:
        return {"architecture": self.architecture, "ours": self.ours, "gensim": self.gensim, "times as fast": self.ratio}


def compare_words(texts: Sequence[str], *, rounds: int = 3, threads: int = 1) -> Iterator[WordSpeed]:
    """Both architectures with negative sampling, 100 numbers, a window of 5, one epoch. Reading the text is not timed.

    Raises ExtraMissing without gensim.
    """
    try:
        from gensim.models import Word2Vec
    except ImportError:
        raise ExtraMissing("gensim", "words") from None
    import torch

    torch.set_num_threads(threads)
    read = corpus(texts)
    sentences = [[] for _ in range(int(read.sentence[-1]) + 1)]
    for word, place in zip(read.ids.tolist(), read.sentence.tolist(), strict=True):
        sentences[place].append(read.vocabulary.words[word])
    for architecture in get_args(Architecture):
        rates: list[tuple[float, float]] = []
        for _ in range(rounds):
            ours = len(read) / _seconds(lambda kind=architecture: _ours(read, kind))
            model = Word2Vec(vector_size=100, window=5, sg=int(architecture == "skip_gram"), min_count=1, workers=threads, seed=1)
            model.build_vocab(sentences)
            train = lambda made=model: made.train(sentences, total_examples=len(sentences), epochs=1)  # noqa: E731
            rates.append((ours, len(read) / _seconds(train)))
        ratio = statistics.median(ours / theirs for ours, theirs in rates)
        yield WordSpeed(architecture, statistics.median(o for o, _ in rates), statistics.median(g for _, g in rates), ratio)


def _ours(read: Any, architecture: Architecture) -> None:
    for _ in family.resolve(f"word2vec(architecture='{architecture}', epochs=1)").learning(read, seed=0):
        pass


def _seconds(run: Any) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun
