"""The questions of the support desk, and streams of them as users might send them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from isinglass.core.config import Config, build, read_toml
from isinglass.core.errors import ConfigError, DataError
from isinglass.core.runtime import derive_seed

FILE = Path(__file__).with_name("questions.toml")
_OPENINGS = ("", "", "", "Hi, ", "Hello! ", "Good morning, ", "Hey, ")
_CLOSINGS = ("", "", "", "", " Thanks!", " Thank you.", " Please help.")


class Intent(Config):
    """What is asked, in several wordings. `personal`: the answer is for one user alone."""

    name: str
    difficulty: Literal["simple", "hard"]
    personal: bool = False
    questions: tuple[str, ...]


class _File(Config):
    intent: tuple[Intent, ...]


@dataclass(frozen=True)
class Query:
    """A question as a user typed it. `intent` is None where nobody has labelled it."""

    text: str
    intent: Intent | None = None

    @property
    def answer(self) -> str | None:
        """The answer that it needs; None for one that is never stored."""
        return None if self.intent is None or self.intent.personal else self.intent.name


@cache
def intents() -> tuple[Intent, ...]:
    """The project's own."""
    return build(_File, read_toml(FILE)).intent


def labelled() -> list[Query]:
    """Each question once."""
    return [Query(text, intent) for intent in intents() for text in intent.questions]


def stream(requests: int, *, skew: float = 1.0, typing_errors: float = 0.1, seed: int = 0) -> list[Query]:
    """So many questions of the project's own, the r-th most frequent intent with a chance of 1 / r**skew (Zipf's law).

    Wordings are drawn evenly; some are greeted and thanked around; a share `typing_errors` (0..1) has two neighbouring letters swapped; and
    a personal one names an order. This is a model of users: a stream of your own questions tells more. Raises ConfigError.
    """
    if requests < 1 or not 0 <= typing_errors <= 1 or skew < 0:
        raise ConfigError(
            f"stream({requests!r}, skew={skew!r}, typing_errors={typing_errors!r}): expected at least 1, at least 0, and 0 to 1"
        )
    known = intents()
    draw = np.random.default_rng(derive_seed(seed, "support questions"))
    order = draw.permutation(len(known))
    chance = 1 / np.arange(1, len(known) + 1) ** skew
    drawn = draw.choice(len(known), size=requests, p=chance / chance.sum())
    return [_typed(known[order[rank]], typing_errors, draw) for rank in drawn]


def _typed(intent: Intent, typing_errors: float, draw: np.random.Generator) -> Query:
    text = intent.questions[draw.integers(len(intent.questions))]
    if intent.personal:
        text = f"{text[:-1]} ({draw.integers(100_000, 1_000_000)}){text[-1]}"
    if draw.random() < typing_errors:
        place = int(draw.integers(1, len(text) - 2))
        text = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    return Query(_OPENINGS[draw.integers(len(_OPENINGS))] + text + _CLOSINGS[draw.integers(len(_CLOSINGS))], intent)


def read_stream(file: Path) -> list[Query]:
    """One question on each line, in the order in which they came. Raises DataError for a file that is none or is empty."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"cannot read {str(file)!r}: {fault}", hint="give a text file in UTF-8 with a question on each line") from None
    found = [Query(line) for line in lines if line]
    if not found:
        raise DataError(f"{file}: no question in it", hint="one question on each line, in the order in which they came")
    return found


def texts(queries: Sequence[Query]) -> list[str]:
    """What was typed."""
    return [query.text for query in queries]
