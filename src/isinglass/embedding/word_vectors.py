"""`WordVectors`: static vectors of words, with what is near, analogies, and files."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import ConfigError, DataError, unknown
from isinglass.core.files import write_atomic
from isinglass.embedding.static.subwords import rows_of

_TERM = re.compile(r"([+-]?)\s*([^\s+-]+)")


@dataclass(frozen=True, eq=False)
class Ngrams:
    """Rows of n-grams, by which unknown words have vectors."""

    shortest: int
    longest: int
    rows: NDArray[np.float32]


@dataclass(frozen=True)
class Near:
    """A word and its cosine."""

    word: str
    cosine: float


@dataclass(frozen=True, eq=False)
class WordVectors:
    """`vectors [word, d]` of `words`, the most frequent first; with `ngrams` every word has a vector.

    >>> tiny = WordVectors(("up", "down", "high"), np.array([[1.0, 0.0], [-1.0, 0.0], [0.8, 0.6]], np.float32))
    >>> tiny.nearest("up", 1)[0].word, round(tiny.similarity("up", "high"), 3)
    ('high', 0.8)
    """

    words: tuple[str, ...]
    vectors: NDArray[np.float32]
    ngrams: Ngrams | None = None

    @cached_property
    def _place(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    @cached_property
    def _unit(self) -> NDArray[np.float32]:
        return self.vectors / np.maximum(np.linalg.norm(self.vectors, axis=1, keepdims=True), 1e-12)

    def __contains__(self, word: object) -> bool:
        return word in self._place or (self.ngrams is not None and isinstance(word, str) and bool(self._parts(word)))

    def vector(self, word: str) -> NDArray[np.float32]:
        """The word's vector; of an unknown word the mean of its n-grams. Raises ConfigError where there are none."""
        if word in self._place:
            return self.vectors[self._place[word]]
        if parts := self._parts(word):
            assert self.ngrams is not None
            return self.ngrams.rows[parts].mean(axis=0)
        raise unknown("word", word, self.words[:5000], where="the vectors")

    def _parts(self, word: str) -> list[int]:
        grams = self.ngrams
        return [] if grams is None else rows_of(word, 0, grams.shortest, grams.longest, len(grams.rows))

    def similarity(self, one: str, other: str) -> float:
        """The cosine of two words."""
        a, b = self.vector(one), self.vector(other)
        return float(a @ b / max(1e-12, float(np.linalg.norm(a) * np.linalg.norm(b))))

    def nearest(self, what: str | NDArray[np.floating], n: int = 10, *, without: Sequence[str] = ()) -> list[Near]:
        """The `n` words nearest to a word or a vector; the word itself, and those of `without`, are left out."""
        vector = self.vector(what) if isinstance(what, str) else np.asarray(what)
        left_out = {*without, *([what] if isinstance(what, str) else [])}
        cosines = self._unit @ (vector / max(1e-12, float(np.linalg.norm(vector))))
        order = np.argsort(-cosines, kind="stable")[: n + len(left_out)]
        return [Near(self.words[place], float(cosines[place])) for place in order if self.words[place] not in left_out][:n]

    def analogy(self, expression: str, n: int = 5, *, with_inputs: bool = False) -> list[Near]:
        """What is nearest to a sum such as `king - man + woman`, of unit vectors (Mikolov et al. 2013).

        The words of the sum are left out, as is usual; with them (`with_inputs`) the answer is most often one of them.
        """
        terms = parse_terms(expression)
        summed = sum(sign * self.vector(word) / max(1e-12, float(np.linalg.norm(self.vector(word)))) for sign, word in terms)
        return self.nearest(np.asarray(summed), n, without=() if with_inputs else [word for _, word in terms])

    def save(self, path: str | Path) -> Path:
        """`.txt`: word2vec's text form, which others read, without n-grams. `.safetensors`: everything."""
        path = Path(path)
        if path.suffix == ".txt":
            lines = [f"{word} {' '.join(f'{x:.6g}' for x in vector)}" for word, vector in zip(self.words, self.vectors, strict=True)]
            return write_atomic(path, "\n".join([f"{len(self.words)} {self.vectors.shape[1]}", *lines, ""]))
        if path.suffix != ".safetensors":
            raise unknown("file format", path.suffix, [".txt", ".safetensors"], where=str(path))
        from safetensors.numpy import save

        tensors, notes = {"vectors": self.vectors}, {"words": json.dumps(self.words)}
        if self.ngrams is not None:
            tensors["ngrams"] = self.ngrams.rows
            notes |= {"shortest": str(self.ngrams.shortest), "longest": str(self.ngrams.longest)}
        return write_atomic(path, save(tensors, metadata=notes))


def parse_terms(expression: str) -> list[tuple[int, str]]:
    """The words of a sum with their signs. Raises ConfigError.

    >>> parse_terms("king - man + woman")
    [(1, 'king'), (-1, 'man'), (1, 'woman')]
    """
    terms = [(-1 if sign == "-" else 1, word.lower()) for sign, word in _TERM.findall(expression)]
    if len(terms) < 2:
        raise ConfigError(f"{expression!r} is no sum of words", hint="king - man + woman")
    return terms


def load_vectors(path: str | Path) -> WordVectors:
    """Vectors of a file that `save` wrote, or of word2vec's text form by others. Raises DataError with file and line."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no file {str(path)!r}", hint="isinglass embed train makes one")
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, "numpy") as file:
            notes = file.metadata() or {}
            ngrams = Ngrams(int(notes["shortest"]), int(notes["longest"]), file.get_tensor("ngrams")) if "shortest" in notes else None
            return WordVectors(tuple(json.loads(notes["words"])), file.get_tensor("vectors"), ngrams)
    return _read_text(path)


def _read_text(path: Path) -> WordVectors:
    words, rows = [], []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            parts = line.rstrip("\n").split(" ")
            if number == 1 and len(parts) == 2:
                continue  # word2vec's heading; GloVe's files have none
            try:
                row = [float(part) for part in parts[1:] if part]
            except ValueError:
                raise DataError(f"{path}:{number}: expected a word and numbers, found {line[:60]!r}") from None
            if not row or (rows and len(row) != len(rows[0])):
                raise DataError(f"{path}:{number}: {len(row)} numbers, expected {len(rows[0]) if rows else 'some'}")
            words.append(parts[0])
            rows.append(row)
    if not rows:
        raise DataError(f"{path}: no vectors in it")
    return WordVectors(tuple(words), np.array(rows, np.float32))
