"""From what a user asks for to a trainer that is ready: everything is resolved and checked before the first step."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from isinglass.core.config import read_toml, write_toml
from isinglass.core.errors import CheckpointError, ConfigError, DataError, IsinglassError, TrainingError
from isinglass.core.files import remove_leftovers, whole_folder
from isinglass.core.runtime import derive_seed
from isinglass.generation.lm import LM, export
from isinglass.models.adapted import adapt, adapter_names, settled
from isinglass.models.fingerprint import fingerprint
from isinglass.models.trainable import fused, use_native
from isinglass.models.transformer import Decoder, Model, on_meta
from isinglass.show.table import Table
from isinglass.training import checkpoint, objectives, optimizers, schedules
from isinglass.training.checkpoint import Progress
from isinglass.training.compiled import compile_passes
from isinglass.training.config import TrainConfig
from isinglass.training.dataset import Data, held_out, records_of
from isinglass.training.events import Evaluated, Saved, Started, TrainEvent
from isinglass.training.freeze import trainable
from isinglass.training.merging import merge_drift
from isinglass.training.objective import Examples, Objective
from isinglass.training.recompute import recompute
from isinglass.training.record import Row
from isinglass.training.reuse import Kept, body_of, kept_bytes, reusing
from isinglass.training.run import Run, RunCost
from isinglass.training.scale import Divided, team
from isinglass.training.trainer import DIVERGED, Trainee, Trainer

# settings of which a resumed run may have others: they change how long it goes on and what is looked at, but no step
_FREE = {"steps", "epochs", "evaluate_every", "evaluation_batches", "patience", "samples", "sample_tokens", "save_every", "keep"}


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
        if not math.isfinite(figures["loss"]):
            raise TrainingError(
                f"step {self.trainer.step}: the validation loss is {figures['loss']:.4g}, expected a finite number", hint=DIVERGED
            )
        best, seconds = progress.best_loss is None or figures["loss"] < progress.best_loss, time.perf_counter() - began
        if best and self.folder is not None:
            lm = self.lm()
            if self.first:
                with whole_folder(self.folder / "best") as staging:
                    export(lm, staging, format="isinglass")
        # from here on it is done: whoever leaves before has it made again when the run is resumed
        progress.evaluated_step = self.trainer.step
        if best:
            progress.best_loss, progress.best_step, progress.evaluations_since_best = figures["loss"], self.trainer.step, 0
        else:
            progress.evaluations_since_best += 1
        yield Evaluated(self.trainer.step, figures, best, seconds)
        if best and self.folder is not None:
            yield Saved(self.trainer.step, self.folder / "best", best=True)

    def lm(self) -> LM:
        """The model as it is now, for inference."""
        card = {**self.lm_before.card, "trained_steps": self.trainer.step}
        model = _plain(self._trained_model())
        goal, before = self.trainer.objective, self.lm_before
        ends, tokenizer = goal.ends(before), goal.tokenizer(before)
        return replace(before, model=model, tokenizer=tokenizer, card=card, end_ids=ends, file=None, _made={})  # type: ignore[arg-type]

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
        cost = RunCost.of(rows, self.trainer.account.memory())
        lm = replace(lm, card={**lm.card, **cost.values()})
        if self.folder is not None and self.first:
            export(lm, self.folder, format="isinglass")
        return Run(lm, rows, reason, self.progress.best_step, self.progress.best_loss, self.folder, self._drift(), cost)

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
    if lm.tokenizer.vocab_size > lm.config.vocab_size:
        raise ConfigError(
            f"tokenizer {lm.tokenizer.name!r} has {lm.tokenizer.vocab_size:,} tokens, the model has {lm.config.vocab_size:,}",
            hint="train with the tokenizer that the model was made for",
        )
    folder = None if out is None else _checked(Path(out), resume)
    goal, learned, validation = _examples(goal, lm, data, config, seed)
    model = goal.trainee(lm, derive_seed(seed, "heads"))
    _check_samples(goal.product(model), lm, config)
    model = model if adapter is None else adapt(model, adapter, seed=derive_seed(seed, "adapter"))
    trained = _trained(model, strategy)
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in trained)
    form = fused(model)
    if config.engine == "native":
        use_native(form)
    if config.activations == "recomputed":
        recompute(form)
    goal, (learned, validation) = reusing(goal, form, trained, config, (learned, validation))
    processes = team(config.parallel)
    if adapter is not None and isinstance(processes, Divided):
        raise ConfigError(f"adapter = {adapter!r} beside parallel = 'fsdp'", hint="an adapter is small: parallel = 'ddp' serves it")
    if config.engine == "compiled":
        compile_passes(body_of(form), config, one_shape=goal.one_shape)
    trainee = Trainee(form, goal, model).train()
    trainer = Trainer(trainee, trained, learned, config, recipe, schedule, seed, processes)
    job = Prepared(lm, model, trainer, validation, config, seed, folder)
    if folder is not None:
        asked = {**_source(data), "objective": str(objective), "strategy": strategy, **({"adapter": adapter} if adapter else {})}
        _remember(job, folder, asked, resume)
    return job


def _check_samples(model: Model, lm: LM, config: TrainConfig) -> None:
    """ConfigError for prompts that the trained model could not continue."""
    if config.samples and not isinstance(model, Decoder):
        raise ConfigError("train.samples: the trained model does not continue a text", hint="leave samples out")
    for number, prompt in enumerate(config.samples):
        n_tokens, context = len(lm.encode(prompt)), lm.config.context_length
        if not 0 < n_tokens <= context:
            raise ConfigError(
                f"train.samples[{number}] = {prompt!r}: {n_tokens:,} tokens, expected from 1 to the model's context of {context:,}"
            )


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
        most = lm.config.context_length
        raise ConfigError(f"context_length = {length:,}: the model's is {most:,}", hint=f"set context_length to at most {most}")
    if isinstance(config.validation, str):
        kept, apart = records, records_of(config.validation)
    else:
        kept, apart = held_out(records, config.validation, seed)
    if config.patience is not None and not apart:
        raise ConfigError("patience needs a validation set", hint="set validation to a share such as 0.1")
    apart_is = "the data held out" if not isinstance(config.validation, str) else config.validation
    goal = goal.fitted(kept)
    learned = goal.examples(lm, kept, length)
    with _told_of(f"validation ({apart_is}, {len(apart):,} records)"):
        return goal, learned, goal.examples(lm, apart, length) if apart else []


@contextmanager
def _told_of(what: str) -> Iterator[None]:
    """A DataError from within says of which data it tells."""
    try:
        yield
    except DataError as fault:
        hint = fault.hint or "give more records, or set validation to another share or source"
        raise DataError(f"{what}: {fault.message}", details=fault.details, hint=hint) from None


def _checked(folder: Path, resume: bool) -> Path:
    """Where the run is to be kept; nothing is written yet. IsinglassError when another one is there, or nothing can be written."""
    checkpoints, settings = folder / "checkpoints", folder / "run.toml"
    try:
        if not resume and (settings.exists() or checkpoint.newest(checkpoints) is not None):
            raise IsinglassError(f"there is a run in {str(folder)!r}", hint="go on with resume, or name another folder")
        if resume and checkpoint.newest(checkpoints) is not None and not settings.exists():
            raise CheckpointError(
                f"{str(folder)!r} has checkpoints and no run.toml, so nothing says with which settings they were made",
                hint=f"put run.toml back, or begin anew in another folder; to give them up: remove {checkpoints}",
            )
        nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as fault:
        raise IsinglassError(f"cannot read the folder {str(folder)!r}: {fault.strerror}") from None
    if not nearest.is_dir():
        raise IsinglassError(f"cannot create the folder {str(folder)!r}: {str(nearest)!r} is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise IsinglassError(f"cannot write to {str(nearest)!r}: Permission denied", hint="name another folder, or change its permissions")
    return folder


def _remember(job: Prepared, folder: Path, asked: dict[str, Any], resume: bool) -> None:
    """Write `run.toml`; when resuming, compare with it and bring the trainer to the newest checkpoint."""
    values = {
        **asked,
        **job.trainer.objective.remembered(),
        "seed": job.seed,
        "weights": fingerprint(job.lm_before.model),
        "model": _model_values(job),
        "tokenizer": job.lm_before.tokenizer.fingerprint,
        "train": job.config.to_dict(),
    }
    file, newest = folder / "run.toml", checkpoint.newest(folder / "checkpoints")
    if resume and file.is_file() and newest is not None:
        before = read_toml(file)
        if missing := values.keys() - before.keys() - {"weights", "data", *asked}:
            raise CheckpointError(
                f"{str(file)!r} has no {sorted(missing)[0]!r}: it was cut short", hint="put run.toml back, or begin in another folder"
            )
        changed = _changes({"weights": values["weights"], **before}, values)  # an older run.toml does not name the weights
        if changed:
            raise CheckpointError(
                f"the run in {str(folder)!r} was made with other settings: it cannot be resumed with these",
                details=changed, hint="use the same settings, or begin in another folder",
            )  # fmt: skip
        job.progress, job.resumed = checkpoint.load(newest, job.trainer), True
    if job.first:
        try:
            write_toml(file, values)
        except OSError as fault:
            hint = "make room on the disk, or name another folder"
            raise TrainingError(f"cannot write {str(file)!r}: {fault.strerror}", hint=hint) from None
        for place in (folder, folder / "checkpoints"):
            remove_leftovers(place)


def _model_values(job: Prepared) -> dict[str, Any]:
    return job.trainer.trainee.model.config.to_dict()  # type: ignore[union-attr, operator]


def _source(data: Data) -> dict[str, str]:
    """The data by name, to tell runs apart by; texts that were given have none."""
    source = data.get("source") if isinstance(data, Mapping) else data
    return {"data": str(source)} if isinstance(source, str | Path) else {}


def _changes(before: dict[str, Any], now: dict[str, Any], where: str = "") -> list[str]:
    """Settings that differ, as lines; those that do not matter to a resumed run are left out."""
    lines = []
    for key in sorted({*before, *now}):
        old, new, name = before.get(key), now.get(key), f"{where}{key}"
        if isinstance(old, dict) and isinstance(new, dict):
            lines += _changes(old, new, f"{name}.")
        elif old != new and not (where == "train." and key in _FREE) and name != "data":  # a file may have moved
            lines.append(f"{name} was {old!r}, is {new!r}")
    return lines


def _plain(model: Model) -> Model:
    """A copy for inference; linear adapters are merged, a prefix stays."""
    return copy.deepcopy(settled(model)).requires_grad_(False).eval()
