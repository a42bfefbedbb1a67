"""Ways to fine-tune a classifier side by side: what trains, how long it takes, what memory a step needs, how good it gets."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from isinglass.data.records import Record
from isinglass.evaluation.attention_costs import peak_bytes
from isinglass.evaluation.classification import baselines, label_of, labels_of, stratified_split
from isinglass.evaluation.classification_results import Measured, cell
from isinglass.generation.lm import LM
from isinglass.metrics.classification import Classification
from isinglass.models.transformer import Model
from isinglass.nn.attention.slots import Slots
from isinglass.training import objectives
from isinglass.training.config import TrainConfig
from isinglass.training.loop import train
from isinglass.training.objective import Examples, Objective
from isinglass.training.objectives.classification import HEAD
from isinglass.training.reuse import KeptBatch, Reused, States, first_trained_block, onward, states
from isinglass.training.setup import Prepared, prepare

_BATCH = 32  # rows that are evaluated together


@dataclass(frozen=True)
class Plan:
    """A strategy, with or without an adapter, and how it is trained."""

    strategy: str
    learning_rate: float
    epochs: float
    adapter: str | None = None
    precision: str = "float32"

    def config(self) -> TrainConfig:
        return TrainConfig.model_validate({
            "epochs": self.epochs, "batch_size": 16, "optimizer": f"adamw(lr={self.learning_rate}, weight_decay=0.01)",
            "validation": 0.0, "precision": self.precision, "batching": "by_length",
        })  # fmt: skip


# Tried on the validation texts of the SMS file alone (SmolLM2, seed 0): head with lr 0.01 and 0.03, last_block with 2 and 3 epochs. The
# others are starting points that nobody tuned.
PLANS = {
    "head": Plan("head", 1e-2, 10),
    "last_block": Plan("last_block", 1e-3, 2),
    "last_two_blocks": Plan("last_two_blocks", 1e-3, 2),
    "norm_and_bias": Plan("norm_and_bias", 2e-3, 2),
    "all": Plan("all", 5e-5, 2),
    "last_block + lora": Plan("last_block", 2e-3, 5, "lora(rank=8)"),
    "all + lora": Plan("all", 5e-4, 2, "lora(rank=8)"),
    "last_block + prefix": Plan("last_block", 1e-2, 5, "prefix(length=16)"),
    "all + prefix": Plan("all", 1e-2, 2, "prefix(length=16)"),
}


class Shared:
    """What enters blocks for all texts, computed once for every run: `at(first)` gives the states and the seconds they took."""

    def __init__(self, lm: LM, objective: Objective, examples: Examples) -> None:
        self.model, self.objective, self.examples = lm.model, objective, examples
        self._found: dict[int, tuple[States, float]] = {}

    def at(self, first: int) -> tuple[States, float]:
        if first not in self._found:
            began, below = time.perf_counter(), max((depth for depth in self._found if depth < first), default=None)
            if below is None:
                found = states(self.model, self.objective, self.examples, first)
            else:
                found = {name: self._further(row, range(below, first)) for name, row in self._found[below][0].items()}
            before = 0.0 if below is None else self._found[below][1]
            self._found[first] = found, before + time.perf_counter() - began
        return self._found[first]

    @torch.no_grad()
    def _further(self, row: Tensor, blocks: range) -> Tensor:
        return onward(self.model, row[None], Slots.first(torch.zeros(1, len(row), dtype=torch.long)), blocks)[0]


def sweep(
    lm: LM, records: Sequence[Record], plans: Mapping[str, Plan], seeds: Sequence[int], done: Collection[str] = ()
) -> Iterator[Measured]:
    """Every plan with every seed, which draws the split (70/10/20, classes in the same shares), the head and the order of the texts.

    What blocks below the trained ones make of the texts is computed once for all runs; each run's seconds hold its share of that.
    Runs whose names (`missing`) are in `done` are left out.
    """
    goal = objectives.family.resolve("classification").fitted(records)
    everything = goal.examples(lm, records, lm.config.context_length)
    shared = Shared(lm, goal, everything)
    pending = [(name, seed) for name in plans for seed in seeds if cell(name, plans[name].epochs, seed) not in done]
    firsts = {name: _first_block(lm, goal, plans[name]) for name in dict.fromkeys(name for name, _ in pending)}
    for depth in sorted({first for first in firsts.values() if first is not None}):
        shared.at(depth)  # the lowest first: the others go on from it
    for name, seed in pending:
        yield _run(lm, goal, stratified_split(records, seed=seed), name, plans[name], seed, firsts[name], shared)


def missing(plans: Mapping[str, Plan], seeds: Sequence[int], done: Collection[str]) -> list[str]:
    """The names of the runs that are not done.

    >>> missing({"head": PLANS["head"]}, [0, 1], ["head, 10 epochs, seed 0"])
    ['head, 10 epochs, seed 1']
    """
    names = [cell(name, plan.epochs, seed) for name, plan in plans.items() for seed in seeds]
    return [name for name in names if name not in done]


def _first_block(lm: LM, goal: Objective, plan: Plan) -> int | None:
    job = _job(lm, goal, [Record({"text": "one", "label": label}, "") for label in cast(Any, goal).labels], plan, 0)
    return first_trained_block(cast(Model, job.trainer.trainee.model), frozenset(job.trainer.trained))


def _job(lm: LM, goal: Objective, records: Sequence[Record], plan: Plan, seed: int) -> Prepared:
    return prepare(
        lm, records, objective=goal, strategy=plan.strategy, adapter=plan.adapter, out=None, resume=False, seed=seed, config=plan.config()
    )


def _run(
    lm: LM, goal: Objective, sides: Mapping[str, list[Record]], name: str, plan: Plan, seed: int, first: int | None, shared: Shared
) -> Measured:
    known, before = ({}, 0.0) if first is None else shared.at(first)
    wrapped = goal if first is None else Reused(goal, first, known)
    job = _job(lm, wrapped, sides["train"], plan, seed)
    n_trained = sum(weight.numel() for weight in job.trainer.trained.values())
    peak = peak_bytes(job.trainer.advance)
    run = train(lm, sides["train"], objective=wrapped, strategy=plan.strategy, adapter=plan.adapter, seed=seed, config=plan.config())
    seconds = sum(row["seconds"] for row in run.rows) + before * len(sides["train"]) / len(shared.examples)
    validation, test = (measured(wrapped, run.lm, sides[side]) for side in ("validation", "test"))
    texts = [record.text for record in sides["test"]]
    beside = baselines(sides["train"], texts, [label_of(record, "label") for record in sides["test"]])
    tfidf, majority = beside.values()
    return Measured(
        name, seed, plan.epochs, plan.precision, n_trained, first, seconds, peak, validation.accuracy, test.accuracy, _f1(test),
        tfidf.accuracy, _f1(tfidf), majority.accuracy, _f1(majority),
    )  # fmt: skip


@torch.no_grad()
def measured(objective: Objective, lm: LM, records: Sequence[Record]) -> Classification:
    """How a trained model labels records."""
    examples = objective.examples(lm, records, lm.config.context_length)
    lengths, predicted, truth = objective.lengths(examples), list[int](), list[int]()
    order = sorted(range(len(examples)), key=lambda number: lengths[number])
    for at in range(0, len(order), _BATCH):
        numbers = order[at : at + _BATCH]
        batch = objective.collate([examples[number] for number in numbers], [0] * len(numbers))
        model = cast(nn.Module, lm.model)
        model = objective.above(model, cast(KeptBatch, batch)) if isinstance(objective, Reused) else model
        predicted += model(batch.ids, slots=batch.slots)[HEAD].argmax(dim=-1).tolist()
        truth += batch.targets.tolist()
    return Classification(labels_of(lm), np.array(truth), np.array(predicted))


def _f1(found: Classification) -> float:
    return found.average("macro")["f1"]


@dataclass(frozen=True)
class Gain:
    """A run that keeps activations beside one that does not."""

    epochs: float
    seconds: float
    seconds_without: float
    largest_difference: float  # of the losses of any step, in nats
    accuracy: float
    accuracy_without: float

    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        return {
            "epochs": self.epochs, "seconds": self.seconds, "without": self.seconds_without,
            "times faster": self.seconds_without / self.seconds,
            "largest difference of a loss": self.largest_difference, "accuracy": self.accuracy, "accuracy without": self.accuracy_without,
        }  # fmt: skip


def reuse_gain(lm: LM, records: Sequence[Record], plan: Plan, *, epochs: float = 5, seed: int = 0) -> Gain:
    """Train twice, with and without keeping what lower blocks say; a fifth of the texts is held out, and accuracies are of it."""
    goal, found = objectives.family.resolve("classification"), []
    for reuse in ("auto", "never"):
        asked = {"reuse": reuse, "epochs": epochs, "validation": 0.2, "evaluate_every": 10**9}
        config = plan.config().model_copy(update=asked)
        run = train(lm, records, objective=goal, strategy=plan.strategy, adapter=plan.adapter, seed=seed, config=config)
        found.append(([row["loss"] for row in run.rows], sum(row["seconds"] for row in run.rows), run.rows[-1]["validation_accuracy"]))
    (losses, seconds, right), (losses_without, seconds_without, right_without) = found
    largest = max(abs(one - other) for one, other in zip(losses, losses_without, strict=True))
    return Gain(epochs, seconds, seconds_without, largest, right, right_without)
