"""One step of training, and all that a step needs and changes."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from isinglass.core.errors import TrainingError
from isinglass.core.runtime import derive_seed
from isinglass.data.loader import Draw, Loader
from isinglass.training.accounting import Account
from isinglass.training.config import TrainConfig
from isinglass.training.events import StepDone
from isinglass.training.objective import Batch, Examples, Loss, Objective
from isinglass.training.optimizer import OptimizerRecipe
from isinglass.training.reuse import Reused
from isinglass.training.scale import Alone, Team, gradient_norm
from isinglass.training.schedule import Schedule

_ALONE = Alone()
DIVERGED = "a lower learning rate, a longer warm-up, or precision = 'float32'"  # the hint for numbers that are none


class Trainee(nn.Module):
    """A model with its objective as one module, because DDP and FSDP see nothing but `forward`.

    `plain` is the model over the same weights in the form that others know, where `model` is a faster one for training.
    """

    def __init__(self, model: nn.Module, objective: Objective, plain: nn.Module | None = None) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        self._plain = (model if plain is None else plain,)  # a tuple is no submodule: its weights are those of the model

    @property
    def plain(self) -> nn.Module:
        return self._plain[0]

    def forward(self, batch: Batch) -> Loss:
        return self.objective.loss(self.model, batch)


class Trainer:
    """The model, the optimizer and the loader, moved on one step at a time. `step` is how many steps are done.

    `trained` names the parameters that change; `recipe` makes their optimizer; `team` are the processes that train together.
    """

    def __init__(
        self,
        trainee: Trainee,
        trained: Collection[str],
        examples: Examples,
        config: TrainConfig,
        recipe: OptimizerRecipe,
        schedule: Schedule,
        seed: int,
        team: Team = _ALONE,
    ) -> None:
        self.trainee, self.examples, self.config, self.seed, self.team = trainee, examples, config, seed, team
        self.objective = trainee.objective
        first_block = self.objective.first if isinstance(self.objective, Reused) else 0
        self.account = Account(trainee.model, config, first_block)
        self.module = team.share(trainee)
        self.trained = {name: weight for name, weight in trainee.model.named_parameters() if name in trained}
        self.optimizer = recipe.make(list(self.trained.items()))
        self.schedule = schedule
        lengths = None if config.batching is None else self.objective.lengths(examples)
        self.loader = Loader(
            len(examples), config.batch_size, derive_seed(seed, "loader"), rank=team.rank, world=team.world, lengths=lengths
        )
        self.steps = config.steps or max(1, round((config.epochs or 1) * len(examples) / config.batch_size))
        self.step = 0
        self.torn = False  # an optimizer step was begun and not ended: weights are neither old nor new
        torch.manual_seed(derive_seed(seed, "dropout", team.rank))

    def advance(self) -> StepDone:
        """One step: every part of the batch forward and back, then the weights; more than once where the objective asks for it.

        The gradient is that of the mean over all targets of the batch, however it is divided into parts.
        Raises TrainingError when the loss is no number; the weights are then those of the step before.
        """
        began, before = time.perf_counter(), (self.loader.drawn, torch.get_rng_state())
        total, n_targets, sums, norm = 0.0, 0.0, dict[str, float](), 0.0
        passed: list[Batch] = []
        try:
            batches = self.objective.prepared(self.trainee.plain, self._batches(self.loader.draw()))
            for number, part in enumerate(self.objective.updates(batches)):
                if number:
                    self._change()
                found, n_found, more = self._accumulate(part)
                passed += part
                norm = gradient_norm(list(self.trained.values()), self.config.clip or math.inf)
                self._check(found / n_found, norm)
                total, n_targets, sums = total + found, n_targets + n_found, _added(sums, more)
        except BaseException:
            # while the weights are untouched: put back what else had moved, so that this is the state before the step
            self.loader.drawn = before[0]
            torch.set_rng_state(before[1])
            self.optimizer.zero_grad(set_to_none=True)
            raise
        rate = self._update()
        figures = self.objective.figures(total, n_targets, sums)
        (n_tokens,) = self.team.total([sum(batch.n_tokens for batch in batches)])
        seconds = time.perf_counter() - began
        mfu = self.account.utilisation(passed, seconds)
        return StepDone(self.step, figures["loss"], rate, norm, int(n_tokens), seconds, figures, mfu)

    def _batches(self, drawn: Sequence[Draw]) -> list[Batch]:
        size = len(drawn) // self.config.accumulation
        return [self._collate(drawn[at : at + size]) for at in range(0, len(drawn), size)]

    def _collate(self, drawn: Sequence[Draw]) -> Batch:
        seeds = [derive_seed(self.seed, "example", draw.place) for draw in drawn]
        return self.objective.collate([self.examples[draw.example] for draw in drawn], seeds)

    def _accumulate(self, batches: Sequence[Batch]) -> tuple[float, float, dict[str, float]]:
        """Gradients of the mean loss over all parts; the sum of nats, its number of targets, and the other sums: of all processes."""
        (n_targets,) = self.team.total([sum(batch.n_targets for batch in batches)])
        if n_targets == 0:
            raise TrainingError(
                f"step {self.step + 1}: no token of the batch is trained, so there is nothing to learn from",
                hint="a longer context_length, or look at the examples: isinglass data show",
            )
        total, sums = 0.0, {}
        for batch in batches:
            with self._precision():
                loss = self.module(batch)
            self.account.look()
            # processes take the mean of their gradients, and the sum is wanted
            (loss.total * (self.team.world / n_targets)).backward()
            total, sums = total + float(loss.total.detach()), _added(sums, loss.sums)
        total, *others = self.team.total([total, *sums.values()])
        return total, n_targets, dict(zip(sums, others, strict=True))

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast("cpu", dtype=torch.bfloat16) if self.config.precision == "bfloat16" else nullcontext()

    def _check(self, loss: float, norm: float) -> None:
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingError(
                f"step {self.step + 1}: the loss is {loss:.4g} and the norm of the gradient {norm:.4g}, expected finite numbers",
                hint=DIVERGED,
            )

    def _update(self) -> float:
        """The last change of a step; returns the learning rate of the first group."""
        self._change()
        self.step += 1
        self.torn = False
        return self.optimizer.param_groups[0]["lr"]

    def _change(self) -> None:
        """Change the weights; until the step is counted they are torn."""
        factor = self.schedule.factor(self.step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        self.torn = True
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def evaluate(self, examples: Examples) -> dict[str, float]:
        """The figures of the objective over a fixed set: the same examples with the same seeds each time, dropout off.

        Every process goes through all of it, so that each passes the same layers at the same time.
        """
        total, n_targets, sums = 0.0, 0.0, dict[str, float]()
        self.trainee.eval()
        try:
            for drawn in self._validation_batches(examples):
                (batch,) = self.objective.prepared(self.trainee.plain, [drawn])
                with self._precision():
                    loss = self.module(batch)
                total, n_targets, sums = total + float(loss.total), n_targets + batch.n_targets, _added(sums, loss.sums)
        finally:
            self.trainee.train()
        return self.objective.figures(total, n_targets or 1, sums)

    def _validation_batches(self, examples: Examples) -> Iterator[Batch]:
        size = max(1, self.config.batch_size // self.config.accumulation)
        count = len(examples) if self.config.evaluation_batches is None else min(len(examples), self.config.evaluation_batches * size)
        # spread over the whole set, not its beginning
        chosen = [number * len(examples) // count for number in range(count)]
        for at in range(0, count, size):
            numbers = chosen[at : at + size]
            seeds = [derive_seed(self.seed, "validation", number) for number in numbers]
            yield self.objective.collate([examples[number] for number in numbers], seeds)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state, by name: trained weights, the optimizer's, and the state of each process's generator (dropout)."""
        found = {f"model.{name}": weight.detach() for name, weight in self.trained.items()}
        for name, weight in self.trained.items():
            for key, value in self.optimizer.state[weight].items():
                found[f"optimizer.{name}.{key}"] = value if isinstance(value, Tensor) else torch.tensor(value)
        generators = self.team.everybody(torch.get_rng_state())
        return self.team.whole(found) | {f"generator.{rank}": state for rank, state in enumerate(generators)}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], step: int, drawn: int) -> None:
        """Put a saved state in place of the present one; names and shapes have been checked."""
        for name, weight in self.trained.items():
            self.team.put(weight, tensors[f"model.{name}"])
            prefix = f"optimizer.{name}."
            state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            self.optimizer.state[weight] = {key: self.team.like(weight, value) for key, value in state.items()}
        # a process that was not there draws its dropout from a stream of its own
        if (generator := f"generator.{self.team.rank}") in tensors:
            torch.set_rng_state(tensors[generator])
        self.step, self.loader.drawn = step, drawn


def _added(sums: Mapping[str, float], more: Mapping[str, float]) -> dict[str, float]:
    return {name: sums.get(name, 0.0) + value for name, value in more.items()}
