"""Normalisations: ways to turn one and the same logits into probabilities. Softmax is a choice, and this shows what it chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import EngineError, unknown
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.marks.bars import bars
from isinglass.show.table import Table

Logits = Float[Tensor, "vocab"]
_SHOWN = 3  # tokens of each row of the table


def softmax(logits: Logits) -> Logits:
    """exp(z_i) / sum exp(z): every token keeps a share; the distribution of most entropy for its mean logit."""
    return logits.softmax(dim=-1)


def sparsemax(logits: Logits) -> Logits:
    """max(z_i - t, 0) with t so that it sums to 1: the nearest point of the simplex, where most tokens have exactly 0.

    Source: Martins and Astudillo 2016, algorithm 1: of the sorted logits the k largest are kept, for the largest k with 1 + k z_k > sum.
    """
    ordered = logits.sort(descending=True).values
    count = torch.arange(1, len(logits) + 1, dtype=logits.dtype)
    total = ordered.cumsum(0)
    kept = int((1 + count * ordered > total).sum())
    return (logits - (total[kept - 1] - 1) / kept).clamp_min(0)


def entmax15(logits: Logits) -> Logits:
    """max(z_i / 2 - t, 0)^2 with t so that it sums to 1: half way between softmax and sparsemax.

    Source: Peters, Niculae and Martins 2019, algorithm 2.
    """
    half = (logits - logits.max()) / 2
    ordered = half.sort(descending=True).values
    count = torch.arange(1, len(logits) + 1, dtype=logits.dtype)
    mean, square = ordered.cumsum(0) / count, ordered.pow(2).cumsum(0) / count
    # k kept values sum to 1 when k (mean - t)^2 + k variance = 1
    thresholds = mean - ((1 - count * (square - mean**2)) / count).clamp_min(0).sqrt()
    kept = int((thresholds <= ordered).sum())
    return (half - thresholds[kept - 1]).clamp_min(0) ** 2


def l1(logits: Logits) -> Logits:
    """max(z_i, 0) / sum of the positive logits: it changes when the same number is added to all logits, which softmax does not see.

    EngineError when no logit is positive.
    """
    positive = logits.clamp_min(0)
    if not float(positive.sum()) > 0:
        raise EngineError("the normalisation 'l1' needs a logit above 0, and there is none", hint="use softmax, sparsemax or argmax")
    return positive / positive.sum()


def argmax(logits: Logits) -> Logits:
    """1 for the largest logit, of equal ones the first: softmax at temperature 0."""
    return torch.zeros_like(logits).index_fill(0, logits.argmax(), 1.0)


NORMALIZATIONS: dict[str, Callable[[Logits], Logits]] = {
    "softmax": softmax, "entmax15": entmax15, "sparsemax": sparsemax, "l1": l1, "argmax": argmax,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Normalized(Finding):
    """The same logits under several normalisations, by name; `ids` are the tokens shown, likeliest under softmax first."""

    prompt: str
    ids: list[int]
    tokens: list[str]
    probabilities: dict[str, Float[Tensor, "vocab"]]
    temperature: float = 1.0
    command: str | None = None

    def support(self, name: str) -> int:
        """How many tokens have a probability above 0. Softmax has all of them, save those too small for a double."""
        return int((self.probabilities[name] > 0).sum())

    def entropy(self, name: str) -> float:
        """In nats."""
        p = self.probabilities[name]
        return float(torch.special.entr(p).sum())

    @property
    def table(self) -> Table:
        rows = []
        for name, p in self.probabilities.items():
            shares = {f"{token} ({id})": float(p[id]) for id, token in list(zip(self.ids, self.tokens, strict=True))[:_SHOWN]}
            rest = float(1 - p[self.ids].sum())
            rows.append(
                {"normalization": name, "tokens above 0": self.support(name), "entropy": self.entropy(name), **shares, "not shown": rest}
            )
        units = {"entropy": "nats"} | dict.fromkeys(list(rows[0])[3:], "ratio")
        vocabulary = len(next(iter(self.probabilities.values())))
        notes = [f"over all {vocabulary:,} tokens; not shown: the share of all but the {len(self.ids)} tokens of the figure"]
        return Table(rows, title="Normalisations in numbers", units=units, notes=notes)

    @property
    def figure(self) -> Figure:
        series = {name: [float(p[id]) for id in self.ids] for name, p in self.probabilities.items()}
        scaled = "" if self.temperature == 1 else f", logits / {self.temperature:g}"
        return bars(
            self.tokens, series, title=f"What follows {self.prompt!r}: the same logits, normalised in several ways{scaled}",
            axis="probability", unit="ratio", limit=1.0, command=self.command,
        )  # fmt: skip

    @property
    def parts(self) -> tuple[Figure, Table]:
        return self.figure, self.table

    @property
    def data(self) -> dict[str, Any]:
        return {
            "prompt": self.prompt,
            "temperature": self.temperature,
            "normalizations": [
                {
                    "normalization": name,
                    "support_tokens": self.support(name),
                    "entropy_nats": self.entropy(name),
                    "top": [
                        {"id": id, "token": token, "probability": float(p[id])} for id, token in zip(self.ids, self.tokens, strict=True)
                    ],
                }
                for name, p in self.probabilities.items()
            ],
        }


def normalized(
    logits: Logits,
    text_of: Callable[[int], str],
    prompt: str,
    *,
    names: Sequence[str] = ("softmax", "sparsemax", "l1", "argmax"),
    temperature: float = 1.0,
    top: int = 10,
    command: str | None = None,
) -> Normalized:
    """The next-token logits under several normalisations of `NORMALIZATIONS`, in fp64 over the whole vocabulary.

    Raises EngineError for an unknown normalisation, a temperature that is not above 0, top < 1, or "l1" without a positive logit.

    >>> found = normalized(torch.tensor([2.0, 1.5, -1.0]), str, "toy", names=["softmax", "sparsemax"], top=2)
    >>> found.probabilities["sparsemax"].tolist(), found.support("softmax")
    ([0.75, 0.25, 0.0], 3)
    """
    if not temperature > 0:
        raise EngineError(f"temperature = {temperature!r}, expected a number above 0", hint="argmax is temperature 0")
    if top < 1:
        raise EngineError(f"top = {top!r}, expected at least 1")
    for name in names:
        if name not in NORMALIZATIONS:
            raise unknown("normalization", name, NORMALIZATIONS, error=EngineError)
    scaled = logits.detach().double().cpu() / temperature
    ids = scaled.topk(min(top, len(scaled))).indices.tolist()
    made = {name: NORMALIZATIONS[name](scaled) for name in dict.fromkeys(names)}
    return Normalized(prompt, ids, [text_of(id) for id in ids], made, temperature, command)
