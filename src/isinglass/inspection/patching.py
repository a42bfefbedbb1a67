"""Activation patching: which activations, put from a clean run into a corrupted one, bring the clean answer back.

A cell of the map is one run with one change, by definition `traced(corrupted, edits=[Edit(name, position= or head=, patch_from=clean)])`.
`patching` computes all cells many at a time (`patch_runs`) and hands them out as they are done.

Source: Meng et al. 2022, Locating and Editing Factual Associations in GPT; Wang et al. 2022, Interpretability in the Wild (heads);
Nanda 2023, Attribution Patching (the estimate from one backward pass).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import EngineError, unknown
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt
from isinglass.inspection.contrast import Contrast, Direction, contrast
from isinglass.inspection.edits import Edit
from isinglass.inspection.gradients import gradients
from isinglass.inspection.patch_maps import BothMaps, Method, PatchMap
from isinglass.inspection.patch_runs import TOKENS, Route, column_runs, is_by_head, route
from isinglass.inspection.question import Metric
from isinglass.inspection.reading import token_text
from isinglass.inspection.trace import traced

DIRECTIONS = ("denoise", "noise")
METHODS = ("exact", "attribution", "both")


@dataclass(frozen=True)
class Cell:
    """One run: the number that was asked, and its place between the corrupted run, 0, and the clean one, 1."""

    layer: int
    column: int
    value: float
    effect: float


@dataclass(frozen=True)
class CellsDone:
    """Cells that are finished; `done` of `total` so far."""

    cells: tuple[Cell, ...]
    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Plan:
    """What is put where: `what` of each layer, from one run of the contrast into the other."""

    contrast: Contrast
    what: str
    direction: Direction
    way: Route

    @property
    def decoder_side(self) -> bool:
        return self.way.prefix != "encoder.layers."

    @property
    def shape(self) -> tuple[int, int]:
        """Layers and columns."""
        return len(self.way.layers), self.way.columns(self.what)

    @property
    def given(self) -> Mapping[str, Tensor]:
        """What is put in, by the names of taps."""
        names = self.way.names(self.what)
        source = traced(self.contrast.source(self.direction), taps=names)
        return {name: source[name] for name in names}

    @property
    def base_value(self) -> float:
        """The number that is asked, of the run that is changed."""
        return self.contrast.corrupted_value if self.direction == "denoise" else self.contrast.clean_value

    def starts(self) -> dict[int, int]:
        """Column -> the first position that its change can reach; columns that cannot change anything are left out."""
        columns = range(self.shape[1])
        if not self.way.causal:
            return dict.fromkeys(columns, 0)
        first = self.contrast.first_difference(decoder_side=self.decoder_side)
        if is_by_head(self.what):
            return dict.fromkeys(columns, first)
        return {column: column for column in columns if first <= column <= self.contrast.question.place}

    def result(self, values: Float[Tensor, "layers columns"], method: Literal["exact", "attribution"], command: str | None) -> PatchMap:
        """The map of what was computed; cells that are not done are NaN."""
        asked, by_head = self.contrast.question, is_by_head(self.what)
        marked = self.contrast.labels(self.direction, decoder_side=self.decoder_side)
        labels = [str(head) for head in range(self.shape[1])] if by_head else marked
        tokens = {name: self._tokens(name) for name in ("clean", "corrupted")}
        return PatchMap(
            self.way.prefix, self.what, self.direction, method, tuple(labels), values, self.contrast.clean_value,
            self.contrast.corrupted_value, asked.text, tokens, command,
        )  # fmt: skip

    def _tokens(self, name: str) -> list[str]:
        return [token_text(self.contrast.lm, id) for id in getattr(self.contrast, name).source.ids[0]]


def plan(contrast: Contrast, what: str = "resid_pre", direction: Direction = "denoise", side: str | None = None) -> Plan:
    """`what` is resid_pre, resid_mid, resid_post, attention.out, mlp.pre or mlp.post for a map of layers and positions; attention.z, .q,
    .k or .v for one of layers and heads (keys and values have key-value heads). `side` is "decoder" or "encoder" in an encoder-decoder,
    whose decoder also has resid_cross, cross_attention.out and the heads of cross_attention.
    """
    if direction not in DIRECTIONS:
        raise unknown("direction", direction, DIRECTIONS, error=EngineError)
    return Plan(contrast, what, direction, route(contrast.base(direction), contrast.question, side, what))


def patching(given: Plan, *, tokens: int = TOKENS) -> Iterator[CellsDone]:
    """Every cell, a few columns at a time; whoever stops early keeps what was done.

    Columns that cannot change anything - those before the first different token, of a causal model - are handed out first, without a run.
    """
    n_layers, n_columns = given.shape
    starts, done, total = given.starts(), 0, n_layers * n_columns
    idle = [column for column in range(n_columns) if column not in starts]
    if idle:
        done += len(idle) * n_layers
        yield CellsDone(tuple(_cell(given, n, column, given.base_value) for column in idle for n in range(n_layers)), done, total)
    base = given.contrast.base(given.direction)
    for one in column_runs(given.way, base, given.what, given.given, starts, tokens=tokens):
        values = one.values.tolist()
        cells = tuple(_cell(given, n, column, values[n][at]) for at, column in enumerate(one.numbers) for n in range(n_layers))
        done += len(cells)
        yield CellsDone(cells, done, total)


def _cell(given: Plan, layer: int, column: int, value: float) -> Cell:
    return Cell(layer, column, value, given.contrast.effect(value))


def by_definition(given: Plan, into: Mapping[str, Tensor], layer: int, column: int) -> float:
    """One cell as it is defined: a pass of the whole model with one edit. `into` is `given.given`, which all cells share."""
    place = {"head": column} if is_by_head(given.what) else {"position": column}
    edit = Edit(name=given.way.tap(layer, given.what), patch_from=into, **place)
    asked = given.contrast.question
    return float(asked.value(traced(given.contrast.base(given.direction), edits=[edit]).logits[0, asked.place]))


def estimated(given: Plan) -> Float[Tensor, "layers columns"]:
    """Attribution patching: every cell from one backward pass, as if the model were linear between its two activations.

    value + gradient . (put in - there), summed over what the cell changes.
    """
    names, into = given.way.names(given.what), given.given
    value, found = gradients(given.contrast.base(given.direction), given.contrast.question, names)
    rows = []
    for name in names:
        there, slope = found[name]
        moved = (slope * (into[name] - there)).double()[0]
        rows.append(moved.sum((1, 2)) if is_by_head(given.what) else moved.sum(-1))
    return value + torch.stack(rows)


def patch(
    lm: LM,
    clean: Prompt,
    corrupted: Prompt,
    *,
    answer: str | int | None = None,
    other: str | int | None = None,
    metric: Metric | None = None,
    what: str = "resid_pre",
    direction: Direction = "denoise",
    method: Method = "exact",
    side: str | None = None,
    target: Prompt | None = None,
    at: int | None = None,
    command: str | None = None,
) -> PatchMap | BothMaps:
    """A map of effects, 0 = corrupted and 1 = clean: `what` of each layer and position, or head, put from one run into the other.

    `answer` and `other` are tokens whose logits are compared; see `contrast` and `plan` for all that can be asked. `method` "attribution"
    estimates all cells from one backward pass, "both" sets the estimate beside the exact map.
    Raises EngineError for texts of unequal length, an answer that is not one token, and a place that the model has not.

    >>> import isinglass as ig
    >>> found = patch(ig.create("tiny"), "abc", "abd", answer="x", what="attention.z")
    >>> found.effects.shape
    torch.Size([2, 4])
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS, error=EngineError)
    given = plan(contrast(lm, clean, corrupted, answer=answer, other=other, metric=metric, target=target, at=at), what, direction, side)
    if method == "attribution":
        return given.result(estimated(given), "attribution", command)
    exact = collected(given, patching(given), command)
    return exact if method == "exact" else BothMaps(exact, given.result(estimated(given), "attribution", command))


def collected(given: Plan, events: Iterator[CellsDone] | Sequence[CellsDone], command: str | None = None) -> PatchMap:
    """The exact map of the events so far."""
    values = torch.full(given.shape, torch.nan, dtype=torch.float64)
    for event in events:
        for cell in event.cells:
            values[cell.layer, cell.column] = cell.value
    return given.result(values, "exact", command)
