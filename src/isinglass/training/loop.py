"""Training: the one loop, as an iterator of events, and `train`, which runs it to its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from isinglass.core.config import build
from isinglass.core.errors import IsinglassError, TrainingError
from isinglass.generation.lm import LM
from isinglass.generation.loop import generate
from isinglass.training import checkpoint
from isinglass.training.config import TrainConfig
from isinglass.training.dataset import Data
from isinglass.training.events import Finished, Sampled, Saved, TrainEvent
from isinglass.training.objective import Objective
from isinglass.training.record import Recorder
from isinglass.training.run import Run
from isinglass.training.setup import Prepared, prepare


class Stopped(Exception):  # noqa: N818 - no error: a wish
    """Thrown into the events of `training` to leave after a checkpoint is written; of several processes by all, after the same step."""


def training(
    lm: LM,
    data: Data,
    *,
    objective: str | Objective = "causal_lm",
    strategy: str = "all",
    adapter: str | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    save_every: int | None = None,
    seed: int = 0,
    config: TrainConfig | Mapping[str, Any] | None = None,
) -> Iterator[TrainEvent]:
    """Train a copy of `lm` and report each step. Everything is checked before the first one.

    `data` is a path, the name of an asset, `{"source": ..., ...}` or texts; `objective` is an expression (`isinglass explain objectives`),
    `strategy` says which weights change, `adapter` what is put beside them; `config` holds the other settings. With `out` the run is
    kept there: closing the iterator writes a checkpoint, and `resume` goes on from the newest one, bit for bit.

    Raises ConfigError, DataError (empty corpus, one shorter than the context, a missing field with its line), CheckpointError (a
    checkpoint of another model), TrainingError (a loss that is no number, a full disk).

    >>> import isinglass as ig
    >>> events = training(ig.create("tiny"), ["to be or not to be " * 40], steps=2, config={"context_length": 16, "batch_size": 4})
    >>> [type(event).__name__ for event in events]
    ['Started', 'StepDone', 'Evaluated', 'StepDone', 'Evaluated', 'Finished']
    """
    prepared = prepare(
        lm, data, objective=objective, strategy=strategy, adapter=adapter, out=out, resume=resume, seed=seed,
        config=_config(config).with_given(steps=steps, epochs=epochs, save_every=save_every),
    )  # fmt: skip
    return _events(prepared)


def train(lm: LM, data: Data, **options: Any) -> Run:
    """Train and give the `Run`; arguments as `training`.

    >>> import isinglass as ig
    >>> run = train(ig.create("tiny"), ["to be or not to be " * 40], steps=2, config={"context_length": 16, "batch_size": 4})
    >>> run.lm.config.d_model, len(run.rows)
    (64, 2)
    """
    for event in training(lm, data, **options):
        if isinstance(event, Finished):
            return event.run
    raise AssertionError("training always ends with Finished")


def _config(config: TrainConfig | Mapping[str, Any] | None) -> TrainConfig:
    return config if isinstance(config, TrainConfig) else build(TrainConfig, config or {}, where="train")


def _events(job: Prepared) -> Iterator[TrainEvent]:
    """Step, evaluate, save, until all steps are done or nothing gets better."""
    trainer, progress = job.trainer, job.progress
    recorder = Recorder(job.folder if job.first else None, trainer.step)
    saved_step = trainer.step if job.resumed else -1

    def seen(event: TrainEvent) -> TrainEvent:
        recorder.see(event)
        return event

    def save() -> Iterator[TrainEvent]:
        nonlocal saved_step
        recorder.flush()
        if job.folder is not None and saved_step != trainer.step:
            saved_step = trainer.step
            yield Saved(trainer.step, checkpoint.save(job.folder / "checkpoints", trainer, progress))

    lost = False
    try:
        yield job.started()
        if trainer.step and len(job.validation) and job.due(job.evaluate_every) and progress.evaluated_step != trainer.step:
            # the run was left after this step and before its evaluation
            saved_step = -1
            for event in _looked_at(job):
                yield seen(event)
        while trainer.step < trainer.steps and not job.out_of_patience():
            done = trainer.advance()
            progress.n_tokens, progress.seconds = progress.n_tokens + done.n_tokens, progress.seconds + done.seconds
            yield seen(done)
            if job.due(job.evaluate_every):
                for event in _looked_at(job):
                    yield seen(event)
            if job.due(job.save_every):
                yield from save()
        yield from save()
        yield Finished(trainer.step, "patience" if job.out_of_patience() else "steps", job.finished(recorder.rows))
    except Stopped:
        for _ in save():
            pass
    except (TrainingError, OSError, SafetensorError) as fault:
        lost = True  # the weights have diverged, or the disk takes no more: what was saved before is what is kept
        raise _with_what_is_kept(fault, job) from None
    finally:
        # left early (closed, or Ctrl-C in between two steps): keep what is done; torn weights are kept by nobody
        # (several processes need not leave at the same step; those that have agreed on one throw Stopped)
        if not lost and not trainer.torn and trainer.team.world == 1:
            for _ in save():
                pass


def _with_what_is_kept(fault: Exception, job: Prepared) -> TrainingError:
    """The error that ends a run, with what of the run is whole on the disk."""
    told = fault if isinstance(fault, IsinglassError) else None
    message = told.message if told else f"step {job.trainer.step:,}: cannot write to {str(job.folder)!r}: {fault}"
    hint = told.hint if told else "make room on the disk, then go on with resume"
    last = None if job.folder is None else checkpoint.newest(job.folder / "checkpoints")
    kept = [f"kept: {last}"] if last is not None else ["no checkpoint was written before"] if job.folder is not None else []
    if job.folder is not None and job.progress.best_step and (job.folder / "best").is_dir():
        kept.append(f"kept: {job.folder / 'best'}, the model of step {job.progress.best_step:,}")
    return TrainingError(message, details=[*(told.details if told else ()), *kept], hint=hint)


def _looked_at(job: Prepared) -> Iterator[TrainEvent]:
    """One evaluation: figures of the validation set, the best model so far, samples."""
    yield from job.evaluated()
    if not job.config.samples:
        return
    lm = job.lm()
    for prompt in job.config.samples if job.first else ():
        text = generate(lm, prompt, max_tokens=job.config.sample_tokens, strategy="sample(temperature=0.8)", seed=job.seed).text
        yield Sampled(job.trainer.step, prompt, text)
