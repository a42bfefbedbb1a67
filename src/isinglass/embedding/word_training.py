"""Learning word vectors from texts: a corpus, a method, progress, vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isinglass.embedding.method import Learned, Method, Progress
from isinglass.embedding.methods import family
from isinglass.embedding.static.corpus import corpus
from isinglass.embedding.word_vectors import WordVectors


def training_words(
    texts: Iterable[str], method: str | Method = "word2vec", *, min_count: int = 5, seed: int = 0
) -> Iterator[Progress | Learned]:
    """Progress about once a second, at last `Learned`. Each text is a sentence: windows do not cross it.

    `method` is an expression such as `glove(d=50)` or `fasttext(epochs=3)`; words that occur less than `min_count` times are left out.
    Ctrl-C ends with the vectors as they are. Raises DataError for texts without two such words, VariantError for another method.
    """
    return family.resolve(method, where="method").learning(corpus(texts, min_count=min_count), seed=seed)


def train_words(texts: Iterable[str], method: str | Method = "word2vec", *, min_count: int = 5, seed: int = 0) -> WordVectors:
    """The vectors alone.

    >>> found = train_words(["the cat sat on the mat", "the dog sat on the rug"] * 20, "word2vec(d=8, epochs=2)")
    >>> len(found.words), found.vectors.shape
    (7, (7, 8))
    """
    *_, last = training_words(texts, method, min_count=min_count, seed=seed)
    assert isinstance(last, Learned)
    return last.vectors
