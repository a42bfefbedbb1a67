"""From what a user asks for to a trainer that is ready: everything is resolved and checked before the first step."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from isinglass.core.config import read_toml, write_toml
from isinglass.core.errors import CheckpointError, ConfigError, IsinglassError
from isinglass.core.files import whole_folder
from isinglass.core.runtime import derive_seed
from isinglass.generation.lm import LM, export
from isinglass.models.adapted import adapt, adapter_names, settled
from isinglass.models.trainable import fused
from isinglass.models.transformer import Model, on_meta
from isinglass.show.table import Table
from isinglass.training import checkpoint, objectives, optimizers, schedules
from isinglass.training.checkpoint import Progress
from isinglass.training.config import TrainConfig
from isinglass.training.dataset import Data, held_out, records_of
from isinglass.training.events import Evaluated, Saved, Started, TrainEvent
from isinglass.training.freeze import trainable
from isinglass.training.merging import merge_drift
from isinglass.training.objective import Examples, Objective
from isinglass.training.recompute import recompute
from isinglass.training.record import Row
from isinglass.training.reuse import Kept, kept_bytes, reusing
from isinglass.training.run import Run
from isinglass.training.scale import Divided, team
from isinglass.training.trainer import Trainee, Trainer

# settings of which a resumed run may have others: they change how long it goes on and what is looked at, but no step
_FREE = {"steps", "epochs", "evaluate_every", "evaluation_batches", "patience", "samples", "sample_tokens", "save_every"}


@dataclass
class Prepared:
    """A run that can begin: the trainer, what is held out, and what the loop remembers."""

    lm_before: LM
    model: Model  # the plain form of what is trained, over the same weights
    trainer: Trainer
    validation: Examples
    config: TrainConfig
    seed: int
    folder: Path | None
    progress: Progress = field(default_factory=Progress)
    resumed: bool = False

    @property
    def first(self) -> bool:
        """Whether this process writes and prints; of several one does."""
        return self.trainer.team.rank == 0

    @property
    def evaluate_every(self) -> int:
        return self.config.evaluate_every or max(1, self.trainer.steps // 10)

    @property
    def save_every(self) -> int:
        return self.config.save_every or self.evaluate_every

    def due(self, every: int) -> bool:
        """Whether something that is done every so many steps is done now; it always is at the end."""
        return self.trainer.step % every == 0 or self.trainer.step >= self.trainer.steps

    def out_of_patience(self) -> bool:
        return self.config.patience is not None and self.progress.evaluations_since_best >= self.config.patience

    def started(self) -> Started:
        trained = sum(weight.numel() for weight in self.trainer.trained.values())
        n_weights = sum(weight.numel() for weight in self.trainer.trainee.model.parameters())
        examples, model = self.trainer.examples, self.trainer.trainee.model
        kept = sum(kept_bytes(each, model) for each in (examples, self.validation) if isinstance(each, Kept))
        return Started(self.trainer.step, self.trainer.steps, len(examples), len(self.validation), trained, n_weights, kept)

    def evaluated(self) -> Iterator[TrainEvent]:
        """The figures of what is held out; the model is kept where it is the best so far."""
        if not len(self.validation):
            return
        began = time.perf_counter()
        figures, progress = self.trainer.evaluate(self.validation), self.progress
        best = progress.best_loss is None or figures["loss"] < progress.best_loss
        if best:
            progress.best_loss, progress.best_step, progress.evaluations_since_best = figures["loss"], self.trainer.step, 0
        else:
            progress.evaluations_since_best += 1
        yield Evaluated(self.trainer.step, figures, best, time.perf_counter() - began)
        if best and self.folder is not None:
            lm = self.lm()
            if self.first:
                with whole_folder(self.folder / "best") as staging:
                    export(lm, staging, format="isinglass")
            yield Saved(self.trainer.step, self.folder / "best", best=True)

    def lm(self) -> LM:
        """The model as it is now, for inference."""
        card = {**self.lm_before.card, "trained_steps": self.trainer.step}
        model = _plain(self._trained_model())
        ends = self.trainer.objective.ends(self.lm_before)
        return replace(self.lm_before, model=model, card=card, end_ids=ends, file=None, _made={})  # type: ignore[arg-type]

    def _trained_model(self) -> Model:
        """The plain form with the weights of now; the processes of a divided model put theirs together."""
        team, model = self.trainer.team, self.model
        if isinstance(team, Divided):
            model = on_meta(model.config)
            model.load_state_dict(team.whole(self.trainer.trainee.model.state_dict()), assign=True)
        return self.trainer.objective.product(model)

    def finished(self, rows: list[Row]) -> Run:
        """The result; with a folder the model is written there."""
        lm, reason = self.lm(), "patience" if self.out_of_patience() else "steps"
        if self.folder is not None and self.first:
            export(lm, self.folder, format="isinglass")
        return Run(lm, rows, reason, self.progress.best_step, self.progress.best_loss, self.folder, self._drift())

    def _drift(self) -> Table | None:
        """What merging the adapter changes, on the first example; None without one."""
        if not adapter_names(self.model):
            return None
        batch = self.trainer.objective.collate([self.trainer.examples[0]], [0])
        return merge_drift(self._trained_model(), batch.ids)


def prepare(
    lm: LM,
    data: Data,
    *,
    objective: str | Objective,
    strategy: str,
    adapter: str | None,
    out: str | Path | None,
    resume: bool,
    seed: int,
    config: TrainConfig,
) -> Prepared:
    """Resolve names, make examples, build the trainer, and go back to the newest checkpoint if that is asked for."""
    goal: Objective = objectives.family.resolve(objective, where="objective")
    recipe = optimizers.family.resolve(config.optimizer, where="train.optimizer")
    schedule = schedules.family.resolve(config.schedule, where="train.schedule")
    folder = None if out is None else _folder(Path(out), resume)
    goal, learned, validation = _examples(goal, lm, data, config, seed)
    model = goal.trainee(lm, derive_seed(seed, "heads"))
    model = model if adapter is None else adapt(model, adapter, seed=derive_seed(seed, "adapter"))
    trained = _trained(model, strategy)
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in trained)
    form = fused(model)
    if config.activations == "recomputed":
        recompute(form)
    goal, (learned, validation) = reusing(goal, form, trained, config, (learned, validation))
    processes = team(config.parallel)
    if adapter is not None and isinstance(processes, Divided):
        raise ConfigError(f"adapter = {adapter!r} beside parallel = 'fsdp'", hint="an adapter is small: parallel = 'ddp' serves it")
    trainee = Trainee(form, goal, model).train()
    if config.engine == "compiled":
        trainee.compile()
    trainer = Trainer(trainee, trained, learned, config, recipe, schedule, seed, processes)
    job = Prepared(lm, model, trainer, validation, config, seed, folder)
    if folder is not None:
        _remember(job, folder, {"objective": str(objective), "strategy": strategy, **({"adapter": adapter} if adapter else {})}, resume)
    return job


def _trained(model: Model, strategy: str) -> frozenset[str]:
    """The names of the weights that change. An adapter trains in place of the weights it stands beside, where the strategy trains those.

    A head that is not adapted trains itself; norms and biases do beside an adapter when the strategy is theirs.
    """
    region, adapter = trainable(model, strategy), adapter_names(model)
    if not adapter:
        return region
    if strategy == "norm_and_bias":
        return region | adapter
    owners = {name: name.split(".adapter.")[0] + "." for name in adapter}
    inside = {name for name, owner in owners.items() if any(own.startswith(owner) for own in region)}
    heads = {name for name in region if name.startswith("heads.") and not name.startswith(tuple(owners.values()))}
    return frozenset(inside | heads)


def _examples(goal: Objective, lm: LM, data: Data, config: TrainConfig, seed: int) -> tuple[Objective, Examples, Examples]:
    """The objective fitted to the data, what is learned and what is held out."""
    length, records = config.context_length or lm.config.context_length, records_of(data)
    if length > lm.config.context_length:
        raise ConfigError(f"context_length = {length:,}: the model's is {lm.config.context_length:,}")
    if isinstance(config.validation, str):
        kept, apart = records, records_of(config.validation)
    else:
        kept, apart = held_out(records, config.validation, seed)
    if config.patience is not None and not apart:
        raise ConfigError("patience needs a validation set", hint="set validation to a share such as 0.1")
    goal = goal.fitted(kept)
    return goal, goal.examples(lm, kept, length), goal.examples(lm, apart, length) if apart else []


def _folder(folder: Path, resume: bool) -> Path:
    """Where the run is kept. IsinglassError when another one is there, or nothing can be written."""
    if (folder / "run.toml").exists() and not resume:
        raise IsinglassError(f"there is a run in {str(folder)!r}", hint="go on with resume, or name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise IsinglassError(f"cannot create the folder {str(folder)!r}: {fault.strerror}") from None
    return folder


def _remember(job: Prepared, folder: Path, asked: dict[str, Any], resume: bool) -> None:
    """Write `run.toml`; when resuming, compare with it and bring the trainer to the newest checkpoint."""
    values = {
        **asked,
        "seed": job.seed,
        "model": _model_values(job),
        "tokenizer": job.lm_before.tokenizer.fingerprint,
        "train": job.config.to_dict(),
    }
    file, newest = folder / "run.toml", checkpoint.newest(folder / "checkpoints")
    if resume and file.is_file() and newest is not None:
        changed = _changes(read_toml(file), values)
        if changed:
            raise CheckpointError(
                f"the run in {str(folder)!r} was made with other settings: it cannot be resumed with these",
                details=changed, hint="use the same settings, or begin in another folder",
            )  # fmt: skip
        job.progress, job.resumed = checkpoint.load(newest, job.trainer), True
    if job.first:
        write_toml(file, values)


def _model_values(job: Prepared) -> dict[str, Any]:
    return job.trainer.trainee.model.config.to_dict()  # type: ignore[union-attr, operator]


def _changes(before: dict[str, Any], now: dict[str, Any], where: str = "") -> list[str]:
    """Settings that differ, as lines; those that do not matter to a resumed run are left out."""
    lines = []
    for key in sorted({*before, *now}):
        old, new, name = before.get(key), now.get(key), f"{where}{key}"
        if isinstance(old, dict) and isinstance(new, dict):
            lines += _changes(old, new, f"{name}.")
        elif old != new and not (where == "train." and key in _FREE):
            lines.append(f"{name} was {old!r}, is {new!r}")
    return lines


def _plain(model: Model) -> Model:
    """A copy for inference; linear adapters are merged, a prefix stays."""
    return copy.deepcopy(settled(model)).requires_grad_(False).eval()
