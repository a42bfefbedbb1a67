"""`embed`: a vector for each text, from a model or from static word vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import ConfigError, unknown
from isinglass.core.variants import Call, parse
from isinglass.embedding.embeddings import Embeddings
from isinglass.embedding.hidden import hidden_states, token_ids
from isinglass.generation.lm import LM
from isinglass.models.headed import HeadedModel
from isinglass.nn.pooling import POOLINGS

NAMES = {"cls": "first", "mean": "mean", "max": "max", "last": "last"}  # as they are called for embeddings -> nn/pooling.py


@runtime_checkable
class WordVectors(Protocol):
    """Static vectors: one for each word, whatever stands around it."""

    def vector(self, word: str) -> NDArray[np.floating]: ...

    def __contains__(self, word: object) -> bool: ...


def embed(
    lm_or_static: LM | WordVectors, texts: Sequence[str], *, pooling: str | None = None, layer: int | None = None, batch_size: int = 32
) -> Embeddings:
    """A vector of length 1 for each text.

    `pooling` makes one vector of a text's tokens: `cls` (the first token), `mean`, `max` or `last`. None takes what the model was trained
    with, else the mean: a decoder's last token has seen the whole text, but stands for the next word (LOG.md has the measurement).
    `layer` 0 is the embedding, k the stream after block k, None the model's output. Padding and batch mates change nothing.
    Static vectors are averaged over the words they know. Raises ConfigError for no texts, an empty one, one beyond the model's context
    length, another pooling or layer.

    Source: Reimers and Gurevych 2019, Sentence-BERT.

    >>> import isinglass as ig
    >>> found = embed(ig.load("minilm"), ["A cat sleeps.", "A kitten naps.", "Stocks fell."])
    >>> found.vectors.shape, found.cosines[0, 1] > found.cosines[0, 2]
    ((3, 384), np.True_)
    """
    if isinstance(texts, str) or not texts:
        raise ConfigError("no texts to embed" if not texts else "texts is one text, expected several", hint='embed(lm, ["a text"])')
    if not isinstance(lm_or_static, LM):
        return Embeddings(tuple(texts), unit(np.stack([_averaged(lm_or_static, text) for text in texts])))
    name = pooling or default_pooling(lm_or_static)
    if name not in NAMES:
        raise unknown("pooling", name, NAMES)
    pool = POOLINGS[NAMES[name]]
    found: dict[int, NDArray[np.float32]] = {}
    for batch in hidden_states(lm_or_static, token_ids(lm_or_static, texts), [layer], batch_size=batch_size):
        vectors = pool(batch.states[0].float(), batch.valid).numpy(force=True)
        found |= dict(zip(batch.places, vectors, strict=True))
    return Embeddings(tuple(texts), unit(np.stack([found[place] for place in range(len(texts))])))


def default_pooling(lm: LM) -> str:
    """What a model's own pooling head does; without one, the mean."""
    if isinstance(lm.model, HeadedModel):
        for text in lm.model.config.heads:
            call = parse(text)
            if isinstance(call, Call) and call.name == "pooling":
                kind = str(dict(call.kwargs).get("kind", call.args[0] if call.args else "mean"))
                return next((name for name, ours in NAMES.items() if ours == kind), "mean")
    return "mean"


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """The vectors with length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def _averaged(static: WordVectors, text: str) -> NDArray[np.floating]:
    known = [static.vector(word) for word in words(text) if word in static]
    if not known:
        raise ConfigError(f"no word of {text!r} has a vector", hint="other words, or vectors trained on more text")
    return np.mean(known, axis=0)


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation.

    >>> words("Paris, the capital!")
    ['paris', 'the', 'capital']
    """
    return ["".join(char for char in word if char.isalnum() or char == "'").strip("'") for word in text.lower().split()]
