"""Complete: how a text goes on, in several ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isinglass.core.errors import ConfigError
from isinglass.generation.lm import LM
from isinglass.generation.loop import generate
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table


@dataclass(frozen=True)
class Completed(Finding):
    """Continuations with the mean log-probability of their tokens, in nats, the most probable one first."""

    prompt: str
    texts: tuple[str, ...]
    log_probs: tuple[float, ...]
    command: str | None = None

    @property
    def table(self) -> Table:
        """A row for each continuation."""
        rows = [{"continuation": text, "log_prob": value} for text, value in zip(self.texts, self.log_probs, strict=True)]
        notes = ["log_prob: mean over the tokens, in nats; 0 is certain"]
        return Table(rows, title=self.prompt, notes=notes, command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table]

    @property
    def data(self) -> Any:
        return {"prompt": self.prompt, "continuations": self.table.rows}


def complete(
    lm: LM, prompt: str, *, n: int = 3, strategy: str = "sample(top_p=0.9)", max_tokens: int = 24, seed: int = 0, command: str | None = None
) -> Completed:
    """`n` ways to go on, drawn by `strategy` (with greedy they are all the same, so there is one). Raises ConfigError for n below 1, and
    what `generate` raises."""
    if n < 1:
        raise ConfigError(f"n = {n!r}, expected at least 1")
    found = generate(lm, [prompt] * (1 if strategy == "greedy" else n), strategy=strategy, max_tokens=max_tokens, seed=seed)
    scored = sorted(((sum(one.log_probs) / max(len(one.log_probs), 1), one.text) for one in found), reverse=True)
    return Completed(prompt, tuple(text for _, text in scored), tuple(value for value, _ in scored), command)
