"""Ablation: how much the number that is asked falls when one head is silenced, for every head.

"zero" puts zeros in place of what a head gives (before the heads are mixed); "mean" puts its mean over tokens there, which takes away what
the head says about this text and leaves what it always says.

`without` silences heads that are named, all at once, and gives the next token before and after.

Source: Michel, Levy, Neubig 2019, Are Sixteen Heads Really Better than One?; Wang et al. 2022 (mean ablation).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import ConfigError, EngineError, unknown
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt
from isinglass.inspection.before_after import BeforeAfter, before_after
from isinglass.inspection.edits import Edit
from isinglass.inspection.patch_runs import Route, column_runs, route
from isinglass.inspection.patching import Cell, CellsDone
from isinglass.inspection.question import Metric, Question, measured, question
from isinglass.inspection.reading import AttentionSite, Reading, Which, reading, token_text
from isinglass.inspection.trace import traced
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.marks.heatmap import heatmap

Silence = Literal["zero", "mean"]
_WHAT = "attention.z"
_STRONGEST = 3


@dataclass(frozen=True, eq=False)
class AblationMap(Finding):
    """`values` are what was asked without each head, NaN where it is not done, `value` is that of the whole model."""

    silence: Silence
    question: str
    tokens: tuple[str, ...]
    value: float
    values: Float[Tensor, "layers heads"]
    command: str | None = None

    @property
    def drops(self) -> Float[Tensor, "layers heads"]:
        """How much each head is worth to the answer: positive where the number falls without it."""
        return self.value - self.values

    @property
    def parts(self) -> Sequence[Figure]:
        drops = self.drops.nan_to_num()
        best = drops.abs().flatten().topk(min(_STRONGEST, drops.numel())).indices.tolist()
        told = [f"layer {at // drops.shape[1]}, head {at % drops.shape[1]}: {float(drops.flatten()[at]):.3g}" for at in best]
        notes = [f"{self.question}: {self.value:.4g} with all heads", f"strongest: {'; '.join(told)}", f"tokens: {'│'.join(self.tokens)}"]
        undone = int(self.values.isnan().sum())
        notes += [f"{undone} of {self.values.numel()} heads are not done"] if undone else []
        how = {"zero": "by zero", "mean": "by its mean"}[self.silence]
        figure = heatmap(
            self.drops.numpy(force=True), title=f"How much the {self.question} falls when a head is replaced {how}",
            rows=[str(n) for n in range(drops.shape[0])], columns=[str(head) for head in range(drops.shape[1])],
            row_axis="layer", column_axis="head", value="fall", scale="diverging", command=self.command, notes=notes,
        )  # fmt: skip
        return (figure,)

    @property
    def data(self) -> dict[str, Any]:
        drops = [[None if value != value else value for value in row] for row in self.drops.tolist()]
        return {"silence": self.silence, "metric": self.question, "tokens": list(self.tokens), "value": self.value, "drops": drops}


@dataclass(frozen=True, eq=False)
class Ablation:
    """What is silenced in which pass: what `ablating` goes through."""

    given: Reading
    question: Question
    way: Route
    silence: Silence
    instead: Mapping[str, Tensor]
    value: float

    @property
    def shape(self) -> tuple[int, int]:
        """Layers and heads."""
        return len(self.way.layers), self.way.columns(_WHAT)


def ablation(
    lm: LM,
    text: Prompt,
    *,
    answer: str | int | None = None,
    other: str | int | None = None,
    metric: Metric | None = None,
    silence: Silence = "zero",
    over: Sequence[Prompt] = (),
    side: str | None = None,
    target: Prompt | None = None,
    at: int | None = None,
) -> Ablation:
    """Everything that a sweep needs. With "mean", means are over all tokens of the texts `over`, of the text itself without any."""
    if silence not in ("zero", "mean"):
        raise unknown("silence", silence, ("zero", "mean"), error=EngineError)
    given = reading(lm, text, target)
    asked = question(given, answer, other, metric=metric, at=at)
    way = route(given, asked, side, _WHAT)
    names = way.names(_WHAT)
    seen = traced(given, taps=names)
    if silence == "zero":
        instead = {name: torch.zeros_like(seen[name]) for name in names}
    else:
        # one text after the other, so that padding has no part in a mean
        kept = [traced(reading(lm, each, target), taps=names) for each in over] or [seen]
        means = {name: torch.cat([one[name][0] for one in kept], dim=1).mean(1) for name in names}
        instead = {name: means[name][None, :, None].expand_as(seen[name]) for name in names}
    return Ablation(given, asked, way, silence, instead, measured(given, asked))


def ablating(given: Ablation) -> Iterator[CellsDone]:
    """Every head, a few columns at a time; a cell's `effect` is how much the number falls."""
    n_layers, n_heads = given.shape
    done = 0
    for one in column_runs(given.way, given.given, _WHAT, given.instead, dict.fromkeys(range(n_heads), 0)):
        values = one.values.tolist()
        cells = tuple(
            Cell(n, head, values[n][at], given.value - values[n][at]) for at, head in enumerate(one.numbers) for n in range(n_layers)
        )
        done += len(cells)
        yield CellsDone(cells, done, n_layers * n_heads)


def ablated(given: Ablation, events: Iterable[CellsDone], command: str | None = None) -> AblationMap:
    """The map of the events so far."""
    values = torch.full(given.shape, torch.nan, dtype=torch.float64)
    for event in events:
        for cell in event.cells:
            values[cell.layer, cell.column] = cell.value
    tokens = tuple(token_text(given.given.lm, id) for id in given.way.rows.ids[0])
    return AblationMap(given.silence, given.question.text, tokens, given.value, values, command)


def ablate(lm: LM, text: Prompt, *, command: str | None = None, **asked: Any) -> AblationMap:
    """Silence every head once and ask again: a map of layers and heads. Takes what `ablation` takes.

    >>> import isinglass as ig
    >>> ablate(ig.create("tiny"), "abc", answer="x").drops.shape
    torch.Size([2, 4])
    """
    given = ablation(lm, text, **asked)
    return ablated(given, ablating(given), command)


def named_heads(text: str) -> list[tuple[int, int]]:
    """Layer and head of each of several heads, each once. ConfigError for another form.

    >>> named_heads("3.1, 4.0")
    [(3, 1), (4, 0)]
    """
    found = []
    for each in filter(None, (part.strip() for part in text.split(","))):
        layer, _, head = each.partition(".")
        if not (layer.isdecimal() and head.isdecimal()):
            raise ConfigError(f"head {each!r}, expected LAYER.HEAD with commas between", hint="such as 3.1,4.0")
        found.append((int(layer), int(head)))
    return list(dict.fromkeys(found))


def silenced(site: AttentionSite, heads: Sequence[tuple[int, int]]) -> list[Edit]:
    """Zeros in place of what these heads give. EngineError for a layer that the model has not."""
    for layer, _ in heads:
        if layer >= len(site.layers):
            raise EngineError(f"layer {layer} does not exist", details=[f"this model has layers 0 to {len(site.layers) - 1}"])
    return [Edit(name=site.tap(layer, "z"), head=head, set_to=0) for layer, head in heads]


def without(
    lm: LM,
    text: Prompt,
    heads: Sequence[tuple[int, int]],
    *,
    which: Which | None = None,
    top: int = 10,
    command: str | None = None,
) -> BeforeAfter:
    """The next token with all heads, and with these silenced together. `which` attention of an encoder-decoder: encoder, decoder, cross.

    Raises EngineError for a layer or head that the model has not.

    >>> import isinglass as ig
    >>> without(ig.create("tiny"), "abc", [(0, 1), (1, 2)]).divergence > 0
    True
    """
    given = reading(lm, text)
    edits = silenced(given.attention(which), heads)
    return before_after(traced(given), traced(given, edits=edits), top=top, command=command)
