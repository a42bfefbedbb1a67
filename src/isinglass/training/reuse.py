"""Activation reuse: what blocks that do not train make of an example is the same in every epoch, so it is computed once and kept.

With `last_block` of a model of 30 layers, 29 of 30 blocks never change. Their output for every text is kept (d_model numbers for each
token), and an epoch after the first costs one block. It is a wrapper around the objective: the loop, the model and its checkpoints are
those of every other run.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.models.encoder import Encoder
from isinglass.models.headed import HeadedModel
from isinglass.models.transformer import Decoder, Model
from isinglass.nn.attention.slots import Slots
from isinglass.nn.dropout import Dropout
from isinglass.training.config import TrainConfig
from isinglass.training.freeze import lowest_trained_block
from isinglass.training.objective import Batch, Examples, Loss, Objective

States = Mapping[bytes, Float[Tensor, "time d_model"]]  # what enters a block, by the ids of the row (`key`)
# Fixed, not what is free now: a run that is resumed on a fuller machine must do the same as before it was stopped, bit for bit.
MOST_BYTES = 2 * 2**30
_TOGETHER = 16  # rows that go through the blocks at once
M = TypeVar("M", bound=nn.Module)


class Kept(Sequence[tuple["Kept", int]]):
    """Examples with what enters block `first`, which is computed when an example is first asked for.

    Rows of like length go through the lower blocks together, always in the same company: so what is kept does not depend on the order of
    training, and a run that is resumed has the same bits.
    """

    def __init__(self, examples: Examples, objective: Objective, first: int, known: States) -> None:
        self.examples, self.objective, self.first, self.known = examples, objective, first, known
        self.lengths = [objective.collate([example], [0]).n_tokens for example in examples]
        order = sorted(range(len(examples)), key=lambda number: self.lengths[number])
        groups = [order[at : at + _TOGETHER] for at in range(0, len(order), _TOGETHER)]
        self._group = {number: group for group in groups for number in group}
        self._states: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, number: int) -> tuple[Kept, int]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not 0 <= number < len(self):
            raise IndexError(f"example {number} of {len(self)}")
        return self, number

    def state(self, number: int, model: nn.Module) -> Tensor:
        """What enters the block in a row, padding left out."""
        if number not in self._states:
            group = self._group[number]
            batch = self.objective.collate([self.examples[each] for each in group], [0] * len(group))
            keys = [key(row, self.lengths[each]) for row, each in zip(batch.ids, group, strict=True)]
            if all(name in self.known for name in keys):
                rows = [self.known[name] for name in keys]
            else:
                rows = [row[: self.lengths[each]].clone() for row, each in zip(entering(model, batch, self.first), group, strict=True)]
            self._states.update(zip(group, rows, strict=True))
        return self._states[number]


@dataclass(frozen=True, eq=False)
class KeptBatch(Batch):
    """A batch of the objective inside, and where what enters its rows' first trained block is kept."""

    inner: Batch = field(kw_only=True)
    rows: Sequence[tuple[Kept, int]] = field(kw_only=True)

    @property
    def n_targets(self) -> float:
        return self.inner.n_targets


@dataclass(frozen=True)
class Reused(Objective):
    """An objective whose model begins at block `first`. `known` are states that were computed elsewhere, such as for an earlier run."""

    inner: Objective
    first: int
    known: States = field(default_factory=dict, repr=False)

    def fitted(self, records: Sequence[Record]) -> Reused:
        return replace(self, inner=self.inner.fitted(records))

    def trainee(self, lm: LM, seed: int) -> Model:
        return self.inner.trainee(lm, seed)

    def examples(self, lm: LM, records: Iterable[Record], context_length: int) -> Kept:
        return self.kept(self.inner.examples(lm, records, context_length))

    def kept(self, examples: Examples) -> Kept:
        """Examples of the objective inside, as this one takes them."""
        return Kept(examples, self.inner, self.first, self.known)

    def collate(self, examples: Sequence[tuple[Kept, int]], seeds: Sequence[int]) -> KeptBatch:
        inner = self.inner.collate([kept.examples[number] for kept, number in examples], seeds)
        return KeptBatch(inner.ids, inner.slots, inner.targets, inner.segments, inner=inner, rows=list(examples))

    def lengths(self, examples: Examples) -> Sequence[int]:
        return cast(Kept, examples).lengths

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        return self.inner.loss(self.above(model, cast(KeptBatch, batch)), cast(KeptBatch, batch).inner)

    def above(self, model: M, batch: KeptBatch) -> M:
        """The model from the first trained block on, for the rows of this batch."""
        rows = [source.state(number, model) for source, number in batch.rows]
        time = batch.ids.shape[1]
        return upper(model, self.first, torch.stack([F.pad(row, (0, 0, 0, time - len(row))) for row in rows]))

    def product(self, model: Model) -> Model:
        return self.inner.product(model)

    def ends(self, lm: LM) -> frozenset[int]:
        return self.inner.ends(lm)

    def remembered(self) -> Mapping[str, Any]:
        return self.inner.remembered()

    def figures(self, total: float, n_targets: float, sums: Mapping[str, float]) -> dict[str, float]:
        return self.inner.figures(total, n_targets, sums)


def states(model: nn.Module, objective: Objective, examples: Examples, first: int) -> dict[bytes, Tensor]:
    """What enters block `first` for every example, to be given as `known` to several runs of `Reused`.

    >>> import isinglass as ig
    >>> from isinglass.training import objectives
    >>> lm, records = ig.create("tiny"), [Record({"text": "see you", "label": "ham"}, "1"), Record({"text": "WIN!", "label": "spam"}, "2")]
    >>> goal = objectives.family.resolve("classification").fitted(records)
    >>> found = states(lm.model, goal, goal.examples(lm, records, 64), first=1)
    >>> sorted(list(state.shape) for state in found.values())
    [[4, 64], [7, 64]]
    """
    kept = Kept(examples, objective, first, {})
    batches = (objective.collate([example], [0]) for example in examples)
    return {key(batch.ids[0], kept.lengths[number]): kept.state(number, model) for number, batch in enumerate(batches)}


def reusing(
    objective: Objective, model: Model, trained: frozenset[str], config: TrainConfig, sets: Sequence[Examples]
) -> tuple[Objective, Sequence[Examples]]:
    """The objective and all sets of examples of a run, wrapped where that saves work: blocks stand below the trained ones, nothing in them
    is random, and what is kept fits.
    """
    first = first_trained_block(model, trained)
    # the compiler would take a batch that looks states up apart into many graphs; processes that divide a model among them must all
    # compute at once, and each of them would look up others
    unfit = config.engine == "compiled" or config.parallel == "fsdp"
    if config.reuse == "never" or unfit or objective.rows != "repeated" or not first:
        return objective, sets
    wrapped = Reused(objective, first)
    kept = [wrapped.kept(each) for each in sets]
    fits = sum(kept_bytes(each, model) for each in kept) <= MOST_BYTES
    return (wrapped, kept) if fits else (objective, sets)


def first_trained_block(model: Model, trained: frozenset[str]) -> int | None:
    """The first block whose input must be kept, the number of blocks where none trains; None where nothing may be kept.

    That is so when the lowest block trains or what stands before it, when dropout draws below, and for encoder-decoders.
    """
    body = body_of(model)
    if not isinstance(body, Decoder | Encoder):
        return None
    lowest = lowest_trained_block(model, trained)
    first = len(body.layers) if lowest is None else lowest
    below = [body.dropout, *(part for layer in body.layers[:first] for part in layer.modules())]
    return None if not first or any(isinstance(part, Dropout) and part.p for part in below) else first


def kept_bytes(kept: Kept, model: nn.Module) -> int:
    """What the states of all examples take, when all are computed."""
    weight = cast(Decoder, body_of(model)).embed_tokens.weight
    return sum(kept.lengths) * weight.shape[1] * weight.element_size()


def body_of(model: nn.Module) -> nn.Module:
    """What has the blocks: the model itself, or what its heads stand on."""
    return model.body if isinstance(model, HeadedModel) else model


def key(ids: Tensor, length: int) -> bytes:
    """The name of a row in `States`."""
    return ids[:length].numpy().tobytes()


@torch.no_grad()
def entering(model: nn.Module, batch: Batch, first: int) -> Float[Tensor, "batch time d_model"]:
    """What enters block `first`: the model without its later blocks and its final norm."""
    body = cast(Decoder, body_of(model))
    lower = _with_parts(body, layers=nn.ModuleList(body.layers[:first]), norm=nn.Identity())
    segments: dict[str, Any] = {} if batch.segments is None else {"segments": batch.segments}
    return lower.hidden(batch.ids, slots=batch.slots, **segments)


def onward(model: nn.Module, states: Tensor, slots: Slots, blocks: range) -> Float[Tensor, "batch time d_model"]:
    """What some blocks make of what enters the first of them."""
    layers = cast(Decoder, body_of(model)).layers
    for number in blocks:
        states = layers[number](states, layer=number, slots=slots, k_slots=slots)
    return states


def upper(model: M, first: int, states: Float[Tensor, "batch time d_model"]) -> M:
    """The model over the same weights, its blocks below `first` left out: `states` are what they would say, whatever ids it is given."""
    body = cast(Decoder, body_of(model))

    def hidden(ids: Tensor, *, slots: Slots, segments: Tensor | None = None, cache: None = None, tap: None = None) -> Tensor:
        x = onward(model, states, slots, range(first, len(body.layers)))
        return x if body.norm is None else body.norm(x)

    above = _with_parts(body)
    above.__dict__["hidden"] = hidden
    return _with_parts(model, body=above) if isinstance(model, HeadedModel) else cast(M, above)


def _with_parts(module: M, **parts: nn.Module) -> M:
    """The same module with other children; weights are shared, and the module given stays as it is."""
    other = copy.copy(module)
    other.__dict__["_modules"] = {**module._modules, **parts}
    return other
