"""What is left of a prompt when words that carry little are left out, and whether it still says the same.

Three ways, from none to some risk: spaces, stop words, and the words that a small language model finds easiest to guess (LLMLingua's idea).
Whether a shortened question still says the same is measured: does it find, by its vector, another wording of its own intent?
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isinglass.core.errors import ConfigError
from isinglass.generation.lm import LM
from isinglass.nn.loss import IGNORED
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.studies.support.questions import Query, texts
from isinglass.text.tokenizer import Tokenizer
from isinglass.training.log_probs import token_log_probs

Shorten = Callable[[Sequence[str]], Sequence[str]]  # every text, shortened
Vectors = Callable[[Sequence[str]], NDArray[np.floating]]


@dataclass(frozen=True)
class Shortened:
    """One way: `kept` of the tokens are left; `found` is the share of the questions whose nearest other wording is of their intent (None
    where nothing is labelled)."""

    way: str
    kept: float
    found: float | None
    example: str


@dataclass(frozen=True)
class CompressionStudy(Finding):
    """The ways, the texts as they are first."""

    ways: tuple[Shortened, ...]
    command: str | None = None

    @property
    def table(self) -> Table:
        """A row for each way."""
        rows = [{"way": one.way, "kept": one.kept, "found": one.found, "example": one.example} for one in self.ways]
        notes = ["kept: share of the tokens"]
        notes += ["found: questions whose nearest other wording is of their own intent"] if self.ways[0].found is not None else []
        shares = ["kept", *(["found"] if self.ways[0].found is not None else [])]
        shown, units = ["way", *shares, "example"], dict.fromkeys(shares, "ratio")
        return Table(rows, title="Prompts in fewer tokens", columns=shown, units=units, notes=notes, command=self.command)

    @property
    def figure(self) -> Figure:
        """Tokens that are left, and what is still found."""
        from isinglass.show.marks.bars import bars

        series = {"tokens kept": [one.kept for one in self.ways]}
        if self.ways[0].found is not None:
            series["still found"] = [one.found or 0.0 for one in self.ways]
        names = [one.way for one in self.ways]
        return bars(
            names, series, title="Tokens left, and what they still say", axis="share", unit="ratio", limit=1.0, command=self.command
        )

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table, self.figure]

    @property
    def data(self) -> Any:
        return {"ways": [vars(one) for one in self.ways]}


def compression_study(
    queries: Sequence[Query], ways: Mapping[str, Shorten], tokenizer: Tokenizer, vectors: Vectors, *, command: str | None = None
) -> CompressionStudy:
    """Shorten the texts in each way; `tokenizer` counts, `vectors` gives a unit vector of each text."""
    whole = texts(queries)
    intents = [query.intent.name for query in queries if query.intent is not None]
    names = np.array(intents) if len(intents) == len(queries) else None
    before = sum(map(tokenizer.count, whole))
    found = []
    for name, shorten in {"as they are": lambda all_: all_, **ways}.items():
        short = shorten(whole)
        kept = sum(map(tokenizer.count, short)) / before
        found.append(Shortened(name, kept, None if names is None else _found(vectors, whole, short, names), short[0]))
    return CompressionStudy(tuple(found), command)


def _found(vectors: Vectors, whole: Sequence[str], short: Sequence[str], names: NDArray[np.str_]) -> float:
    """Share of the shortened texts whose nearest whole text, themselves left out, has the same name."""
    both = vectors([*whole, *short])
    near = both[len(whole) :] @ both[: len(whole)].T
    np.fill_diagonal(near, -np.inf)
    return float(np.mean(names[near.argmax(axis=1)] == names))


def spaces(text: str) -> str:
    """Spaces and line breaks as one space each.

    >>> spaces(" Where  is my order? ")
    'Where is my order?'
    """
    return " ".join(text.split())


def stop_words(text: str) -> str:
    """Without the words that are in every text (scikit-learn's list), but with negations and question words.

    >>> stop_words("When will I be able to not pay for the return?")
    'When able not pay return?'
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    empty = ENGLISH_STOP_WORDS - _SAYING
    return " ".join(word for word in text.split() if word.lower().strip("?.,;:!") not in empty) or text


_SAYING = {
    "not", "no", "nor", "never", "none", "cannot", "cant", "without", "how", "why", "what", "when", "where", "who", "which", "between",
    "before", "after", "until", "able",
}  # fmt: skip


def easily_guessed(surprises: Mapping[str, Sequence[float]], kept: float) -> Shorten:
    """Leaves out the words of each text that a model is least surprised by, until the share `kept` (0..1) of the words is left.

    `surprises` has the nats of each word of each text, as `word_surprises` gives them. Raises ConfigError.
    """
    if not 0 < kept <= 1:
        raise ConfigError(f"kept = {kept!r}, expected above 0, at most 1")

    def shorten(text: str) -> str:
        words = text.split()
        order = np.argsort(-np.array(surprises[text]), kind="stable")
        return " ".join(words[place] for place in sorted(order[: max(1, round(kept * len(words)))]))

    return lambda all_: [shorten(text) for text in all_]


def word_surprises(lm: LM, whole: Sequence[str], *, batch_size: int = 32) -> dict[str, list[float]]:
    """Nats of each word of each text after those before it; infinite for the first word, which nothing precedes.

    Texts of like length share a batch. They are padded on the right, where a causal model does not look.
    """
    order = sorted(dict.fromkeys(whole), key=len)
    found: dict[str, list[float]] = {}
    for begin in range(0, len(order), batch_size):
        some = order[begin : begin + batch_size]
        pieces = [[lm.tokenizer.encode(word if place == 0 else f" {word}") for place, word in enumerate(text.split())] for text in some]
        found |= dict(zip(some, _nats(lm, pieces), strict=True))
    return found


def _nats(lm: LM, rows: Sequence[Sequence[Sequence[int]]]) -> list[list[float]]:
    flat = [[one for piece in pieces for one in piece] for pieces in rows]
    ids = torch.zeros(len(flat), max(map(len, flat)), dtype=torch.long)
    targets = torch.full_like(ids, IGNORED)
    for row, tokens in enumerate(flat):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        targets[row, : len(tokens) - 1] = torch.tensor(tokens[1:])
    with torch.inference_mode():
        nats = -token_log_probs(lm.decoder, lm.decoder.hidden(ids), targets)
    found = []
    for row, pieces in enumerate(rows):
        each = [float("inf"), *nats[row].tolist()]
        ends = np.cumsum([len(piece) for piece in pieces])
        found.append([sum(each[end - len(piece) : end]) for piece, end in zip(pieces, ends, strict=True)])
    return found
