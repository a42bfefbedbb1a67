"""What generation gives: one event per token, one result per prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Finish = Literal["length", "stop", "end", "context"]


@dataclass(frozen=True)
class TokenOut:
    """One token of one row. `text` is what became certain with it: often less or more than the token's own text.

    `log_prob` is under the model's own distribution (nats), before temperature and filters. `finish` is set on a row's last event:
    "end" (the model's end token), "stop" (a stop string), "length" (max_tokens), "context" (the context is full).
    """

    row: int
    id: int
    text: str
    log_prob: float
    seconds: float  # since the call, this token included
    finish: Finish | None = None


@dataclass(frozen=True)
class Timings:
    """Seconds to the first token (the prompt's one pass), to the last, and the number of tokens."""

    first_token_seconds: float
    total_seconds: float
    n_tokens: int

    @property
    def tokens_per_second(self) -> float:
        """Of the steps after the first token; 0.0 when there was none."""
        spent = self.total_seconds - self.first_token_seconds
        return (self.n_tokens - 1) / spent if spent > 0 else 0.0


@dataclass(frozen=True)
class Generation:
    """The answer to one prompt. `ids` are the new tokens; an end token is not among them."""

    text: str
    ids: list[int]
    prompt_ids: list[int]
    finish: Finish
    log_probs: list[float]
    timings: Timings

    def __str__(self) -> str:
        return self.text
