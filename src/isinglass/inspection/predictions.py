"""What a model expects next: probabilities over the whole vocabulary, at any temperature; after one text or several."""

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
from isinglass.show.marks.panels import Panel, panels
from isinglass.show.marks.tokens import TokenStrips, compared
from isinglass.show.showable import Showable
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


@dataclass(frozen=True)
class Predictions(Finding):
    """What follows each of several texts: one table, small multiples over one axis, and the exact tokens that went in."""

    each: tuple[NextTokens, ...]
    tokens: tuple[tuple[str, ...], ...]
    ids: tuple[tuple[int, ...], ...]
    command: str | None = None

    @property
    def figure(self) -> Figure:
        shown = []
        for one in self.each:
            of = {t: [row for row in one.table.rows if row["temperature"] == t] for t in one.entropy}
            labels = [row["token"] for row in next(iter(of.values()))]
            shown.append(Panel(one.prompt, labels, {f"T = {t:g}": [row["probability"] for row in rows] for t, rows in of.items()}))
        return panels(shown, title="What follows each text", axis="probability", unit="ratio", command=self.command)

    @property
    def table(self) -> Table:
        rows = [{"prompt": one.prompt, **row} for one in self.each for row in one.table.rows]
        return Table(rows, title="The same in numbers", units={"probability": "ratio"})

    @property
    def summary(self) -> Table:
        """A row per text and temperature: the likeliest token, its probability, and the doubt."""
        rows = [
            {"prompt": one.prompt, "temperature": t, "entropy": value, "likeliest": row["token"], "probability": row["probability"]}
            for one in self.each
            for t, value in one.entropy.items()
            for row in [next(row for row in one.table.rows if row["temperature"] == t)]
        ]
        return Table(rows, title="How sure it is", units={"entropy": "nats", "probability": "ratio"})

    @property
    def strips(self) -> TokenStrips:
        named = {f"{number}": (pieces, ids) for number, (pieces, ids) in enumerate(zip(self.tokens, self.ids, strict=True), start=1)}
        return compared(named, title="The exact tokens that went in")

    @property
    def parts(self) -> tuple[Showable, ...]:
        return self.figure, self.table, self.summary, self.strips

    @property
    def data(self) -> dict[str, Any]:
        tokens = [[{"id": id, "piece": piece} for id, piece in zip(*one, strict=True)] for one in zip(self.ids, self.tokens, strict=True)]
        return {"prompts": [{"tokens": ids, **one.data} for ids, one in zip(tokens, self.each, strict=True)]}


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

    Temperature 0 puts everything on the most likely token. Raises EngineError for a negative temperature, none at all, or top < 1.
    """
    if top < 1:
        raise EngineError(f"top = {top!r}, expected at least 1")
    if not temperatures:
        raise EngineError("no temperature was given", hint="1 is the model's own distribution")
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
