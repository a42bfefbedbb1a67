"""Search: the same recipe with other settings, run after run, and which of them was best.

Every trial is an ordinary run in a folder of its own. `results.json` grows with each one that is done, so a search that was cut off goes
on where it was: what is done is read, and what was begun is resumed as any run is, bit for bit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isinglass.core.errors import CheckpointError, ConfigError, IsinglassError, TrainingError
from isinglass.core.files import write_atomic
from isinglass.generation.lm import LM, create
from isinglass.models import presets
from isinglass.models.config import model_config
from isinglass.show import embed
from isinglass.text.tokenizer import Tokenizer
from isinglass.training import objectives, optimizers, schedules
from isinglass.training.compare import flat
from isinglass.training.events import TrainEvent
from isinglass.training.found import Found, found_in
from isinglass.training.range import Range
from isinglass.training.recipe import Recipe, TokenizerChoice, cook, read_recipe
from isinglass.training.space import Point, points, space_of, trial_names, with_values

RESULTS = "results.json"


@dataclass(frozen=True)
class TrialStarted:
    """Before a trial, whose events follow: the `number`-th of `n_trials`, with the settings that are its own."""

    number: int
    n_trials: int
    name: str
    point: Point


@dataclass(frozen=True)
class TrialDone:
    """After a trial. `failed` says why it came to no end; the search goes on."""

    number: int
    n_trials: int
    name: str
    failed: str | None = None


@dataclass(frozen=True)
class SearchDone:
    """The last event."""

    found: Found


SearchEvent = TrainEvent | TrialStarted | TrialDone | SearchDone


def searching(
    recipe: Recipe | str | Path,
    space: Mapping[str, Any],
    *,
    trials: int | None = None,
    seed: int = 0,
    out: str | Path,
    resume: bool = False,
) -> Iterator[SearchEvent]:
    """Train a recipe with varied settings and report everything on the way: events of the trials, each with those of its run.

    `space` maps dotted keys, also into expressions (`train.optimizer.lr`), to lists of values or to ranges (`isinglass explain ranges`).
    Lists alone are a grid; with `trials` so many points are drawn, `seed` saying which, and more of them later begin with the same ones.
    With `resume` a search that was cut off goes on. Every trial is checked before the first one begins.

    Raises ConfigError (unknown key, nothing to vary, `trials` missing, nothing held out), IsinglassError (another search in the
    folder), CheckpointError (a search with other settings), TrainingError when no trial came to an end.
    """
    given = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    ranges, folder = space_of(space), Path(out)
    chosen = points(ranges, trials, seed)
    names = trial_names(ranges, chosen)
    recipes = [_own(given, point, folder / name) for name, point in zip(names, chosen, strict=True)]
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("a search runs in one process, not under torchrun", hint="start several with another seed and out each")
    over = {key: str(value) if isinstance(value, Range) else list(value) for key, value in ranges.items()}
    log = _Log.opened(folder, {"seed": seed, "over": over, "recipe": given.to_dict()}, resume)
    plan = [_Trial(number, *one) for number, one in enumerate(zip(names, chosen, recipes, strict=True), start=1)]
    return _events(plan, log, ranges, resume)


def search(recipe: Recipe | str | Path, space: Mapping[str, Any], **options: Any) -> Found:
    """Search to the end and give what was found; arguments as `searching`.

    >>> recipe = Recipe.model_validate({"model": "tiny(d_model=16)", "data": "text.txt", "train": {"steps": 2, "batch_size": 4}})
    >>> _ = Path("text.txt").write_text("to be or not to be " * 200)
    >>> found = search(recipe, {"train.optimizer.lr": [1e-5, 1e-2], "train.context_length": [16]}, out="found")
    >>> found.best["train.optimizer.lr"]
    0.01
    """
    for event in searching(recipe, space, **options):
        if isinstance(event, SearchDone):
            return event.found
    raise AssertionError("a search always ends with SearchDone")


@dataclass(frozen=True)
class _Trial:
    number: int
    name: str
    point: Point
    recipe: Recipe


def _events(plan: Sequence[_Trial], log: _Log, space: Mapping[str, Sequence[Any] | Range], resume: bool) -> Iterator[SearchEvent]:
    made = _Made()
    for trial in plan:
        if trial.name in log.done:
            continue
        yield TrialStarted(trial.number, len(plan), trial.name, trial.point)
        failed = None
        try:
            # a loop, not `yield from`: whatever is thrown in ends the search too, after the run has written its checkpoint
            with closing(cook(trial.recipe, made.lm(trial.recipe), resume=resume)) as events:  # type: ignore[type-var] # a generator
                for event in events:  # noqa: UP028
                    yield event
        except (TrainingError, ConfigError) as fault:
            # a learning rate at which training diverges is a result too
            failed = fault.message
        log.add(trial.name, trial.point, failed)
        yield TrialDone(trial.number, len(plan), trial.name, failed)
    if all(log.trials[trial.name]["failed"] for trial in plan):
        raise TrainingError(
            f"none of the {len(plan)} trials came to an end",
            details=[f"{trial.name}: {log.trials[trial.name]['failed']}" for trial in plan[:5]],
        )
    yield SearchDone(found_in(log.folder, [log.trials[trial.name] for trial in plan], space))


def _own(recipe: Recipe, point: Point, folder: Path) -> Recipe:
    """The recipe of one trial, checked as far as that takes no data."""
    changed = with_values(recipe, point).model_copy(update={"out": str(folder)})
    try:
        objectives.family.resolve(changed.objective, where="objective")
        optimizers.family.resolve(changed.train.optimizer, where="train.optimizer")
        schedules.family.resolve(changed.train.schedule, where="train.schedule")
        if changed.model.preset is not None:
            config = presets.family.resolve(changed.model.preset, where="model")
            model_config({**dict(config), "attention": {**dict(config.attention), **changed.model.attention}})
        if changed.train.validation == 0:
            raise ConfigError("train.validation = 0: a search compares by what is held out", hint="train.validation = 0.1")
    except IsinglassError as fault:
        settings = ", ".join(f"{key} = {value!r}" for key, value in point.items())
        raise type(fault)(fault.message, details=[*fault.details, f"in the trial with {settings}"], hint=fault.hint) from None
    return changed


class _Made:
    """The model to begin with. What trials share is made once: a vocabulary that is learned, and a model that is loaded."""

    def __init__(self) -> None:
        self._tokenizers: dict[str, Tokenizer] = {}
        self._last: tuple[str, LM] | None = None

    def lm(self, recipe: Recipe) -> LM:
        key = json.dumps(recipe.model_dump(mode="json", include={"model", "tokenizer", "data", "seed"}))
        if self._last is None or self._last[0] != key:
            self._last = key, self._fresh(recipe)
        return self._last[1]

    def _fresh(self, recipe: Recipe) -> LM:
        if recipe.model.preset is None or not isinstance(recipe.tokenizer, TokenizerChoice):
            return recipe.lm()
        key = json.dumps(recipe.model_dump(mode="json", include={"tokenizer", "data"}))
        if key not in self._tokenizers:
            self._tokenizers[key] = recipe.lm().tokenizer
        return create(recipe.model.preset, tokenizer=self._tokenizers[key], attention=recipe.model.attention, seed=recipe.seed)


class _Log:
    """`results.json`: what the search was asked for, and every trial that is done."""

    def __init__(self, folder: Path, asked: dict[str, Any], trials: dict[str, dict[str, Any]]) -> None:
        self.folder, self._asked, self.trials = folder, asked, trials

    @classmethod
    def opened(cls, folder: Path, asked: dict[str, Any], resume: bool) -> _Log:
        """A new one, or with `resume` the one that is there."""
        file, asked = folder / RESULTS, embed.plain(asked)
        if file.exists() and not resume:
            raise IsinglassError(f"there is a search in {str(folder)!r}", hint="go on with resume, or name another folder")
        log = cls(folder, asked, _read(file, asked) if file.exists() else {})
        log._write()
        return log

    @property
    def done(self) -> set[str]:
        """Trials that need not be run; one that failed is tried again, from its last checkpoint."""
        return {name for name, trial in self.trials.items() if not trial["failed"] and (self.folder / name / "metrics.csv").is_file()}

    def add(self, name: str, point: Point, failed: str | None) -> None:
        self.trials[name] = {"trial": name, "settings": embed.plain(point), "failed": failed}
        self._write()

    def _write(self) -> None:
        content = json.dumps({**self._asked, "trials": list(self.trials.values())}, ensure_ascii=False, indent=2)
        try:
            write_atomic(self.folder / RESULTS, content + "\n")
        except OSError as fault:
            raise IsinglassError(f"cannot write {str(self.folder / RESULTS)!r}: {fault.strerror or fault}") from None


def _read(file: Path, asked: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The trials of a search, if it is the one that is asked for. Raises CheckpointError."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        trials = {trial["trial"]: trial for trial in kept.pop("trials") if {"settings", "failed"} <= trial.keys()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise CheckpointError(f"cannot read {str(file)!r}: {fault}", hint="remove it: what is done is read again") from None
    old, new = flat(kept), flat(asked)
    changed = [f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    if changed:
        raise CheckpointError(
            f"the search in {str(file.parent)!r} was made with other settings: it cannot go on with these",
            details=changed, hint="use the same settings, or begin in another folder",
        )  # fmt: skip
    return trials
