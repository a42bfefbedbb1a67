"""What a response cache would have found in a stream of questions: by their text, or by the nearest stored one within a threshold."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import ConfigError, ShapeError

_NO_WORD = re.compile(r"[^\w\s]|_")


@dataclass(frozen=True)
class Hits:
    """`found[i]` is the place of the earlier question whose answer question i gets (-1: the model is asked), `is_wrong[i]` whether that
    answer belongs to another question."""

    found: NDArray[np.intp]
    is_wrong: NDArray[np.bool_]

    @property
    def hit_rate(self) -> float:
        """Share of the questions that need no model, 0..1."""
        return float(np.mean(self.found >= 0)) if len(self.found) else 0.0

    @property
    def wrong(self) -> float:
        """Share of the hits whose answer belongs to another question."""
        hits = self.found >= 0
        return float(np.mean(self.is_wrong[hits])) if hits.any() else 0.0

    def rate_so_far(self) -> NDArray[np.float64]:
        """Hit rate of the stream up to each question: it rises while the cache fills."""
        return np.cumsum(self.found >= 0) / np.arange(1, len(self.found) + 1)


def key(text: str) -> str:
    """What an exact cache compares: lower case, without punctuation, spaces as one.

    >>> key("Where is MY  order?!")
    'where is my order'
    """
    return " ".join(_NO_WORD.sub("", text).lower().split())


def exact_hits(texts: Sequence[str], answers: Sequence[Hashable | None], *, capacity: int | None = None) -> Hits:
    """A cache by text, of at most `capacity` answers, of which the one not used for longest goes (None: of any size).

    `answers[i]` names the right answer of question i; None: it is for one user alone and is never stored. Raises ShapeError.

    >>> exact_hits(["Hours?", "hours", "Price?"], ["h", "h", "p"]).hit_rate
    0.3333333333333333
    """
    _same_length(texts, answers)
    if capacity is not None and capacity < 1:
        raise ConfigError(f"capacity = {capacity!r}, expected at least 1")
    stored: OrderedDict[str, int] = OrderedDict()
    found = np.full(len(texts), -1, np.intp)
    for number, text in enumerate(texts):
        name = key(text)
        if name in stored:
            found[number] = stored[name]
            stored.move_to_end(name)
        elif answers[number] is not None:
            stored[name] = number
            if capacity is not None and len(stored) > capacity:
                stored.popitem(last=False)
    return _judged(found, answers)


def semantic_hits(vectors: NDArray[np.floating], answers: Sequence[Hashable | None], *, threshold: float) -> Hits:
    """A cache by meaning: a question gets the answer of the stored one whose vector has the largest cosine with its own, if that is at
    least `threshold` (-1..1). `vectors` [questions, d] have length 1; `answers` as for `exact_hits`. Raises ShapeError."""
    _same_length(vectors, answers)
    found = np.full(len(vectors), -1, np.intp)
    stored = np.empty_like(vectors)
    places: list[int] = []
    for number, vector in enumerate(vectors):
        if places:
            near = stored[: len(places)] @ vector
            best = int(near.argmax())
            if near[best] >= threshold:
                found[number] = places[best]
                continue
        if answers[number] is not None:
            stored[len(places)] = vector
            places.append(number)
    return _judged(found, answers)


def _judged(found: NDArray[np.intp], answers: Sequence[Hashable | None]) -> Hits:
    wrong = [place >= 0 and answers[place] != answers[number] for number, place in enumerate(found)]
    return Hits(found, np.array(wrong, bool))


def _same_length(questions: Sequence[object] | NDArray[np.floating], answers: Sequence[object]) -> None:
    if len(questions) != len(answers):
        raise ShapeError(f"{len(questions)} questions and {len(answers)} answers")
