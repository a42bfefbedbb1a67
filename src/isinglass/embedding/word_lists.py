"""Word lists that people have judged: WordSim-353 and SimLex-999 (how alike two words are), and Google's analogies.

They are read from the files of the package gensim, where it is installed (nothing of it is imported), or from a file in the same form.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from isinglass.core.errors import DataError, ExtraMissing, unknown
from isinglass.embedding.word_vectors import WordVectors

FILES = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt", "analogies": "questions-words.txt"}


@dataclass(frozen=True)
class Agreement:
    """`value` is Spearman's rank correlation with people (-1..1), or the share of analogies that are right; over `covered` of `total`
    entries whose words all have vectors. None where too few are covered."""

    name: str
    value: float | None
    covered: int
    total: int

    def row(self) -> dict[str, Any]:
        what = "analogies right" if self.name == "analogies" else "Spearman"
        return {"list": self.name, "measure": what, "value": self.value, "covered": self.covered, "of": self.total}


def list_file(name: str) -> Path:
    """The file of a list in the package gensim. Raises ExtraMissing when it is not installed."""
    if name not in FILES:
        raise unknown("word list", name, FILES)
    try:
        found = metadata.files("gensim") or []
    except metadata.PackageNotFoundError:
        raise ExtraMissing("gensim", "words") from None
    return next(Path(str(file.locate())) for file in found if file.name == FILES[name] and "test_data" in file.parts)


def agreement(vectors: WordVectors, name: str, file: Path | None = None) -> Agreement:
    """How well vectors agree with one list. Raises DataError, with file and line, for a list that cannot be read."""
    path = file or list_file(name)
    return _analogies(vectors, path) if name == "analogies" else _similarities(vectors, name, path)


def _similarities(vectors: WordVectors, name: str, path: Path) -> Agreement:
    from scipy.stats import spearmanr

    judged = list(_judged(path))
    known = [(one, other, score) for one, other, score in judged if one in vectors and other in vectors]
    ours = [vectors.similarity(one, other) for one, other, _ in known]
    value = float(np.asarray(spearmanr([score for *_, score in known], ours))[0]) if len(known) > 2 else None
    return Agreement(name, None if value is None or math.isnan(value) else value, len(known), len(judged))


def _judged(path: Path) -> Iterator[tuple[str, str, float]]:
    for number, line in _lines(path):
        parts = line.lower().split()
        try:
            yield parts[0], parts[1], float(parts[2])
        except (IndexError, ValueError):
            if number > 1:
                raise DataError(f"{path}:{number}: expected two words and a number, found {line!r}") from None


def _analogies(vectors: WordVectors, path: Path) -> Agreement:
    right = covered = total = 0
    for number, line in _lines(path):
        if line.startswith(":"):
            continue  # a heading
        parts = line.lower().split()
        if len(parts) != 4:
            raise DataError(f"{path}:{number}: expected four words, found {line!r}")
        total += 1
        if all(word in vectors for word in parts):
            covered += 1
            found = vectors.analogy(f"{parts[1]} - {parts[0]} + {parts[2]}", 1)
            right += found[0].word == parts[3]
    return Agreement("analogies", right / covered if covered else None, covered, total)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"cannot read {str(path)!r}: {fault}") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            yield number, line.strip()
