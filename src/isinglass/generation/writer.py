"""The text of one row as it is written."""

from __future__ import annotations

from collections.abc import Sequence

from isinglass.generation.lm import LM
from isinglass.generation.results import Finish, Speculated, TokenOut
from isinglass.generation.stops import StopWatch


class Writer:
    """What one row has said: decodes ids as they come, watches for stop strings, and knows when the row is done."""

    def __init__(self, lm: LM, row: int, max_tokens: int, stops: Sequence[str], ends: frozenset[int]) -> None:
        self.row, self.max_tokens, self.ends = row, max_tokens, ends
        self.stream = lm.tokenizer.stream(skip_special=True)
        self.watch = StopWatch(stops)
        self.n_tokens = 0
        self.finish: Finish | None = None

    def write(self, id: int, log_prob: float, seconds: float, full: bool, speculated: Speculated | None = None) -> TokenOut:
        """Take one id; the event to yield."""
        self.n_tokens += 1
        text = "" if id in self.ends else self.watch.feed(self.stream.feed(id))
        if id in self.ends:
            self.finish = "end"
        elif self.watch.hit is not None:
            self.finish = "stop"
        elif self.n_tokens >= self.max_tokens:
            self.finish = "length"
        elif full:
            self.finish = "context"
        if self.finish is not None:
            text += self.watch.feed(self.stream.finish()) + self.watch.finish()
            self.finish = "stop" if self.watch.hit is not None and self.finish != "end" else self.finish
        return TokenOut(self.row, id, text, log_prob, seconds, self.finish, speculated)
