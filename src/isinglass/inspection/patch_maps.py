"""Maps of effects, as they are shown: exact, estimated, or both beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.inspection.contrast import MARK, Direction
from isinglass.inspection.patch_runs import is_by_head
from isinglass.show import format
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.marks.heatmap import heatmap

Method = Literal["exact", "attribution", "both"]
_STRONGEST = 3


@dataclass(frozen=True, eq=False)
class PatchMap(Finding):
    """`values` are the number that was asked in the run changed at each place, NaN where it is not done; `columns` are tokens or heads."""

    prefix: str
    what: str
    direction: Direction
    method: Literal["exact", "attribution"]
    columns: tuple[str, ...]
    values: Float[Tensor, "layers columns"]
    clean: float
    corrupted: float
    question: str
    tokens: dict[str, list[str]]
    command: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def effects(self) -> Float[Tensor, "layers columns"]:
        """0 = as in the corrupted run, 1 = as in the clean one."""
        return (self.values - self.corrupted) / (self.clean - self.corrupted)

    @property
    def strongest(self) -> list[tuple[int, int, float]]:
        """Layer, column and effect of the cells that differ most from the run that was changed."""
        moved = self._moved.nan_to_num()
        best = moved.abs().flatten().topk(min(_STRONGEST, moved.numel())).indices.tolist()
        return [(at // moved.shape[1], at % moved.shape[1], float(self.effects.flatten()[at])) for at in best]

    @property
    def parts(self) -> Sequence[Figure]:
        into, out_of = ("corrupted", "clean") if self.direction == "denoise" else ("clean", "corrupted")
        by_head, how = is_by_head(self.what), "" if self.method == "exact" else ", estimated by attribution"
        where = [f"layer {n}, {f'head {c}' if by_head else f'position {c} {format.token(self.columns[c])}'}" for n, c, _ in self.strongest]
        told = "; ".join(f"{place}: {effect:.3g}" for place, (*_, effect) in zip(where, self.strongest, strict=True))
        value = "effect" if self.direction == "denoise" else "effect - 1"
        notes = [
            f"{self.question}: {self.corrupted:.4g} in the corrupted run (effect 0), {self.clean:.4g} in the clean run (effect 1)",
            f"strongest: {told}",
            *self._texts(by_head),
            *self.notes,
        ]
        undone = int(self.values.isnan().sum())
        notes += [f"{undone} of {self.values.numel()} cells are not done"] if undone else []
        place = self.prefix.removesuffix("layers.") + self.what
        figure = heatmap(
            self._moved.numpy(force=True), title=f"What {out_of} {place} does to the {into} run{how}",
            rows=[str(n) for n in range(len(self.values))], columns=self.columns, row_axis="layer",
            column_axis="head" if by_head else f"token of the {into} text", value=value, scale="diverging",
            command=self.command, notes=notes,
        )  # fmt: skip
        return (figure,)

    @property
    def data(self) -> dict[str, Any]:
        def numbers(x: Tensor) -> list[list[float | None]]:
            return [[None if value != value else value for value in row] for row in x.tolist()]

        return {
            "what": self.prefix.removesuffix("layers.") + self.what,
            "direction": self.direction,
            "method": self.method,
            "metric": self.question,
            "clean": self.clean,
            "corrupted": self.corrupted,
            "tokens": self.tokens,
            "columns": list(self.columns),
            "values": numbers(self.values),
            "effects": numbers(self.effects),
        }

    @property
    def _moved(self) -> Float[Tensor, "layers columns"]:
        """Effects against the run that was changed, so that a cell which does nothing is 0."""
        return self.effects - (0.0 if self.direction == "denoise" else 1.0)

    def _texts(self, by_head: bool) -> list[str]:
        pairs = list(enumerate(zip(self.tokens["clean"], self.tokens["corrupted"], strict=True)))
        differ = [f"{place} {format.token(a)} / {format.token(b)}" for place, (a, b) in pairs if a != b]
        mark = "" if by_head else f", marked {MARK}"
        return [f"tokens that differ{mark} (clean / corrupted): {', '.join(differ)}"] if differ else []


@dataclass(frozen=True, eq=False)
class BothMaps(Finding):
    """The exact map and the estimate of the same cells."""

    exact: PatchMap
    estimate: PatchMap

    @property
    def correlation(self) -> float:
        """Of the two, over all cells that are done (Pearson); NaN where one of them is the same everywhere."""
        done = ~self.exact.values.isnan()
        pair = torch.stack([self.exact.effects[done].double(), self.estimate.effects[done].double()])
        return float(torch.corrcoef(pair)[0, 1]) if pair.shape[1] > 1 else float("nan")

    @property
    def largest_difference(self) -> float:
        """Between the effects of a cell."""
        return float((self.exact.effects - self.estimate.effects).abs().nan_to_num().max())

    @property
    def parts(self) -> Sequence[Figure]:
        told = f"beside the exact map: correlation {self.correlation:.3f}, largest difference of a cell {self.largest_difference:.3g}"
        return *self.exact.parts, *replace(self.estimate, notes=(told,)).parts

    @property
    def data(self) -> dict[str, Any]:
        return {
            "exact": self.exact.data,
            "attribution": self.estimate.data,
            "correlation": self.correlation,
            "largest_difference": self.largest_difference,
        }
