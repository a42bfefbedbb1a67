"""What generation gives: one event per token, one result per prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Literal

Finish = Literal["length", "stop", "end", "context"]


@dataclass(frozen=True)
class Speculated:
    """How a draft fared: tokens it proposed, how many of them the model kept, and the passes of the model this took.

    >>> Speculated(proposed=4, accepted=3, passes=1) + Speculated(4, 0, 1)
    Speculated(proposed=8, accepted=3, passes=2)
    """

    proposed: int
    accepted: int
    passes: int

    @property
    def acceptance(self) -> float:
        """Share of the proposed tokens that were kept, 0..1; 0.0 when none was proposed."""
        return self.accepted / self.proposed if self.proposed else 0.0

    @property
    def tokens_per_pass(self) -> float:
        """Each pass gives the accepted tokens and one of the model's own; without a draft it is 1."""
        return (self.accepted + self.passes) / self.passes

    def __add__(self, other: Speculated) -> Speculated:
        return Speculated(self.proposed + other.proposed, self.accepted + other.accepted, self.passes + other.passes)


@dataclass(frozen=True)
class TokenOut:
    """One token of one row. `text` is what became certain with it: often less or more than the token's own text.

    `log_prob` is under the model's own distribution (nats), before temperature and filters. `finish` is set on a row's last event:
    "end" (the model's end token), "stop" (a stop string), "length" (max_tokens), "context" (the context is full).
    `speculated` is set by speculative decoding on the first token of each pass.
    """

    row: int
    id: int
    text: str
    log_prob: float
    seconds: float  # since the call, this token included
    finish: Finish | None = None
    speculated: Speculated | None = None


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
    """The answer to one prompt. `ids` are the new tokens; an end token is not among them.

    `speculated` counts what the draft of speculative decoding proposed; None for other strategies.
    """

    text: str
    ids: list[int]
    prompt_ids: list[int]
    finish: Finish
    log_probs: list[float]
    timings: Timings
    speculated: Speculated | None = None

    @classmethod
    def of(cls, prompt_ids: list[int], events: Sequence[TokenOut]) -> Generation:
        """The events of one row as a whole."""
        last = events[-1]
        kept = events[:-1] if last.finish == "end" else events
        counts = [event.speculated for event in events if event.speculated is not None]
        return cls(
            text="".join(event.text for event in events),
            ids=[event.id for event in kept],
            prompt_ids=prompt_ids,
            finish=last.finish or "length",
            log_probs=[event.log_prob for event in kept],
            timings=Timings(events[0].seconds, last.seconds, len(events)),
            speculated=reduce(add, counts) if counts else None,
        )

    def __str__(self) -> str:
        return self.text
