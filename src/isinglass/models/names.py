"""Weight names: one table per family and format, read in both directions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Shapes = Mapping[str, torch.Size]


@dataclass(frozen=True)
class Rename:
    """`theirs` holds the tensors `ours`, joined along the output dimension; `{}` stands for the layer number, `{expert}` for an expert's.

    `transposed`: stored as (d_in, d_out), as GPT-2's Conv1D does. `undo` and `redo` reorder rows on import and export.
    """

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False
    undo: Callable[[Tensor], Tensor] | None = None
    redo: Callable[[Tensor], Tensor] | None = None

    def at(self, layer: int, expert: int) -> Rename:
        filled = tuple(name.format(layer, expert=expert) for name in self.ours)
        return Rename(self.theirs.format(layer, expert=expert), filled, self.transposed, self.undo, self.redo)


@dataclass(frozen=True)
class NameMap:
    """All renames of a family. `prefix` may be missing from files of the bare model; `ignored` are buffers, not weights.

    `bare`: the model is such a one, whose names are written without the prefix.
    """

    renames: tuple[Rename, ...]
    prefix: str = ""
    ignored: Sequence[str] = ()
    bare: bool = False

    def for_layers(self, n_layers: int, ours: Iterable[str]) -> Iterator[Rename]:
        """The renames of a model that has `n_layers` and, as its names `ours` tell, some number of experts."""
        numbers = [int(found[1]) for name in ours if (found := re.search(r"\.experts\.(\d+)\.", name))]
        n_experts = max(numbers, default=0) + 1
        for rename in self.renames:
            layers = range(n_layers if "{}" in rename.theirs else 1)
            experts = range(n_experts if "{expert}" in rename.theirs else 1)
            yield from (rename.at(layer, expert) for layer in layers for expert in experts)


def import_names(theirs: Mapping[str, Tensor], names: NameMap, n_layers: int, expected: Shapes) -> dict[str, Tensor]:
    """Our names for their tensors. What the table does not know keeps its own name, so that loading can report it."""
    bare = names.prefix and not any(name.startswith(names.prefix) for name in theirs)
    left = {(names.prefix + name if bare and name != "lm_head.weight" else name): tensor for name, tensor in theirs.items()}
    ours: dict[str, Tensor] = {}
    for rename in names.for_layers(n_layers, expected):
        tensor = left.pop(rename.theirs, None)
        if tensor is None:
            continue
        tensor = tensor.t().contiguous() if rename.transposed and tensor.dim() == 2 else tensor
        tensor = rename.undo(tensor) if rename.undo else tensor
        rows = [expected[name][0] if name in expected else tensor.shape[0] for name in rename.ours]
        fits = len(rename.ours) > 1 and sum(rows) == tensor.shape[0]
        # copies, not views: a view would keep (and save) the whole joined tensor
        parts = [part.contiguous() for part in tensor.split(rows)] if fits else [tensor] * len(rename.ours)
        ours.update(zip(rename.ours, parts, strict=True))
    unknown = {name: t for name, t in left.items() if not any(re.fullmatch(pattern, name) for pattern in names.ignored)}
    return {**ours, **unknown}


def export_names(ours: Mapping[str, Tensor], names: NameMap, n_layers: int) -> dict[str, Tensor]:
    """Their names for our tensors: the inverse of `import_names`, bit for bit."""
    theirs: dict[str, Tensor] = {}
    for rename in names.for_layers(n_layers, ours):
        if all(name in ours for name in rename.ours):
            parts = [rename.redo(ours[name]) if rename.redo else ours[name] for name in rename.ours]
            tensor = torch.cat(parts) if len(parts) > 1 else parts[0]
            name = rename.theirs.removeprefix(names.prefix) if names.bare else rename.theirs
            theirs[name] = (tensor.t() if rename.transposed and tensor.dim() == 2 else tensor).contiguous()
    return theirs


def simple(pairs: Mapping[str, str], **options: Any) -> tuple[Rename, ...]:
    """Renames of one tensor each, from their name to ours."""
    return tuple(Rename(theirs, (ours,), **options) for theirs, ours in pairs.items())
