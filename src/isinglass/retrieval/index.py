"""`Index`: a collection that can be searched by meaning, by words, by both, and by both with a second look."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import ConfigError, unknown
from isinglass.embedding.contextual import embed
from isinglass.embedding.hidden import hidden_states, token_ids
from isinglass.generation.lm import LM, load
from isinglass.retrieval.chunk import Chunk, chunks
from isinglass.retrieval.documents import SourceText
from isinglass.retrieval.ranking import reciprocal_rank_fusion
from isinglass.retrieval.store import Card, Scored, Store, open_store, write

T = TypeVar("T")
Way = Literal["dense", "words", "hybrid", "rerank"]
_BATCH = 512  # passages that are embedded and written at once: enough for texts of like length to be found for each pass of the model
_CANDIDATES = 30  # of each order that a hybrid joins
_REMEMBERED = 512  # passages whose tokens' vectors are kept, 150 kB each


@dataclass(frozen=True)
class Found:
    """A passage with its score in the way it was searched, and its cosine with the question."""

    chunk: Chunk
    score: float
    cosine: float


@dataclass(frozen=True, eq=False)
class Index:
    """A store with the model of its vectors."""

    store: Store
    lm: LM
    _tokens: dict[int, NDArray[np.float32]] = field(default_factory=dict, repr=False)  # of passages that were looked at again

    def vector(self, question: str) -> NDArray[np.float32]:
        """The question's vector, of length 1."""
        return embed(self.lm, [question]).vectors[0]

    def search(self, question: str, n: int = 5, *, way: Way = "hybrid") -> list[Found]:
        """The `n` best passages. `dense` compares meanings, `words` is BM25, `hybrid` joins both orders, `rerank` looks at the best of
        those again, token by token. Raises ConfigError for an empty question, an n below 1, another way."""
        if not question.strip():
            raise ConfigError("the question is empty")
        if n < 1:
            raise ConfigError(f"n = {n!r}, expected at least 1")
        if way not in get_args(Way):
            raise unknown("way to search", way, get_args(Way))
        vector = self.vector(question)
        wanted = max(n, _CANDIDATES)
        dense = self.store.dense(vector, wanted)
        if way == "dense":
            order = dense
        elif way == "words":
            order = self.store.words(question, wanted)
        else:
            by_words = self.store.words(question, wanted)
            fused = reciprocal_rank_fusion([[one.number for one in dense], [one.number for one in by_words]])
            order = [Scored(number, score) for number, score in fused]
            order = self._reranked(question, order[:wanted]) if way == "rerank" else order
        return self._found(order[:n], {one.number: one.score for one in dense}, vector)

    def _found(self, order: Sequence[Scored], cosines: dict[int, float], vector: NDArray[np.float32]) -> list[Found]:
        passages = self.store.chunks([one.number for one in order])
        missing = [chunk for chunk in passages if chunk.number not in cosines]
        if missing:  # found by words alone: their cosine is computed anew
            again = embed(self.lm, [chunk.text for chunk in missing]).vectors @ vector
            cosines = cosines | {chunk.number: float(cosine) for chunk, cosine in zip(missing, again, strict=True)}
        return [Found(chunk, one.score, cosines[chunk.number]) for chunk, one in zip(passages, order, strict=True)]

    def _reranked(self, question: str, order: Sequence[Scored]) -> list[Scored]:
        """By the mean over the question's tokens of the largest cosine with a passage's tokens (Khattab and Zaharia 2020, ColBERT)."""
        missing = [one.number for one in order if one.number not in self._tokens]
        made = _token_vectors(self.lm, [question, *(chunk.text for chunk in self.store.chunks(missing))])
        asked = made[0]
        self._tokens.update(zip(missing, made[1:], strict=True))
        scores = [float((asked @ self._tokens[one.number].T).max(axis=1).mean()) for one in order]
        for old in list(self._tokens)[: max(0, len(self._tokens) - _REMEMBERED)]:
            del self._tokens[old]
        return sorted((Scored(one.number, score) for one, score in zip(order, scores, strict=True)), key=lambda one: -one.score)


def _token_vectors(lm: LM, texts: Sequence[str]) -> list[NDArray[np.float32]]:
    """The vectors `[token, d]` of each text, of length 1."""
    found: dict[int, NDArray[np.float32]] = {}
    for batch in hidden_states(lm, token_ids(lm, texts), [None]):
        for row, place in enumerate(batch.places):
            states = batch.states[0, row][batch.valid[row]].float().numpy(force=True)
            found[place] = states / np.linalg.norm(states, axis=1, keepdims=True)
    return [found[place] for place in range(len(texts))]


def make_index(
    place: str,
    documents: Sequence[SourceText],
    *,
    model: str = "minilm",
    size: int = 120,
    overlap: int = 1,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Index:
    """Cut documents into passages of at most `size` tokens, embed them and write an index to `place` (a folder or a URL).

    `tell(done, total)` is called as it goes on. An index that was there is replaced at the end, in one step.
    """
    lm = load(model)
    passages = list(chunks(documents, lm.tokenizer.count, size=size, overlap=overlap))
    card = Card(model, size, overlap, tuple(document.name for document in documents), len(passages))
    d = embed(lm, ["length"]).vectors.shape[1]
    return Index(write(place, _embedded(lm, passages, tell), d=d, card=card), lm)


def _embedded(lm: LM, passages: Sequence[Chunk], tell: Callable[[int, int], None]) -> Iterator[tuple[list[Chunk], NDArray[np.float32]]]:
    done = 0
    for some in batched(passages, _BATCH):
        yield some, embed(lm, [chunk.text for chunk in some]).vectors
        done += len(some)
        tell(done, len(passages))


def batched(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """Items in lists of at most `size`."""
    left = iter(items)
    while some := list(islice(left, size)):
        yield some


def open_index(place: str) -> Index:
    """An index that was made before, with its model. Raises DataError where there is none."""
    store = open_store(place)
    return Index(store, load(store.card.model))
