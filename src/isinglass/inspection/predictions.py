"""What a model expects next: probabilities over the whole vocabulary, at any temperature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import EngineError
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.marks.bars import bars
from isinglass.show.table import Table


@dataclass(frozen=True)
class NextTokens(Finding):
    """`table` has a row per token and temperature; `entropy` is in nats, per temperature; `figure` shows the same as bars."""

    prompt: str
    table: Table
    figure: Figure
    entropy: dict[float, float]

    @property
    def parts(self) -> tuple[Figure, Table]:
        return self.figure, Table(self.table.rows, title="The same in numbers", units=self.table.units)

    @property
    def data(self) -> dict[str, Any]:
        return {
            "prompt": self.prompt,
            "predictions": self.table.rows,
            "entropy_nats": {f"{t:g}": value for t, value in self.entropy.items()},
        }


def next_tokens(
    logits: Float[Tensor, "vocab"],
    text_of: Callable[[int], str],
    prompt: str,
    *,
    top: int,
    temperatures: Sequence[float],
    command: str | None = None,
) -> NextTokens:
    """The `top` most likely tokens, with probabilities normalised over the whole vocabulary, not over those shown.

    Temperature 0 puts everything on the most likely token. Raises EngineError for a negative temperature or top < 1.
    """
    if top < 1:
        raise EngineError(f"top = {top!r}, expected at least 1")
    ids = logits.topk(min(top, len(logits))).indices.tolist()
    distributions = {t: at_temperature(logits, t) for t in temperatures}
    rows = [
        {"temperature": t, "rank": rank, "token": text_of(id), "id": id, "probability": float(p[id]), "logit": float(logits[id])}
        for t, p in distributions.items()
        for rank, id in enumerate(ids, start=1)
    ]
    title = f"What follows {prompt!r}"
    series = {f"T = {t:g}": [float(p[id]) for id in ids] for t, p in distributions.items()}
    entropy = {t: float(-(p * p.clamp_min(1e-300).log()).sum()) for t, p in distributions.items()}
    notes = [f"temperature {t:g}: entropy {value:.2f} nats over {len(logits):,} tokens" for t, value in entropy.items()]
    labels = [text_of(id) for id in ids]
    figure = bars(labels, series, title=title, axis="probability", unit="ratio", limit=1.0, notes=notes, command=command)
    return NextTokens(prompt, Table(rows, title=title, units={"probability": "ratio"}, notes=notes), figure, entropy)


def at_temperature(logits: Float[Tensor, "vocab"], temperature: float) -> Float[Tensor, "vocab"]:
    """softmax(logits / temperature) in fp64; temperature 0 is its limit."""
    if not temperature >= 0:
        raise EngineError(f"temperature = {temperature!r}, expected a number >= 0", hint="0 is greedy, 1 the model's own distribution")
    if temperature == 0:
        return torch.zeros(len(logits), dtype=torch.float64).index_fill(0, logits.argmax().cpu(), 1.0)
    return (logits.double().cpu() / temperature).softmax(dim=-1)
