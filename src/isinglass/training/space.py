"""What a search varies: dotted keys of a recipe, each with a list of values or a range, and the points of that space."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from isinglass.core.config import build
from isinglass.core.errors import ConfigError, VariantError
from isinglass.core.runtime import derive_seed
from isinglass.core.variants import Call, parse
from isinglass.training.range import Range
from isinglass.training.ranges import family as ranges
from isinglass.training.recipe import ModelChoice, Recipe

Point = dict[str, Any]  # dotted key -> value
_TRIES = 50  # to draw a point that was not drawn before
_LONGEST = 70  # of a trial's name: it is a folder


def space_of(given: Mapping[str, Any]) -> dict[str, Sequence[Any] | Range]:
    """Every key with its list or its range.

    Raises ConfigError for an empty space or list, and for what is neither; VariantError for an expression that is no range.

    >>> space_of({"train.clip": [0.5, 1.0], "train.optimizer.lr": "log(1e-4, 1e-2)"})["train.optimizer.lr"]
    Log(low=0.0001, high=0.01)
    """
    if not given:
        raise ConfigError("a search needs at least one key to vary", hint="train.optimizer.lr=log(1e-4, 1e-2), or seed=[0, 1, 2]")
    return {key: _values(key, value) for key, value in given.items()}


def _values(key: str, value: Any) -> Sequence[Any] | Range:
    if key == "out":
        raise ConfigError("out cannot be varied: every trial has a folder of its own in that of the search")
    if isinstance(value, str):
        try:
            return ranges.resolve(value, where=key)
        except VariantError as fault:
            told = fault.message if key in fault.message else f"{key} = {value!r}: {fault.message}"
            raise VariantError(told, details=fault.details, hint=fault.hint) from None
    if isinstance(value, Range):
        return value
    if not isinstance(value, Sequence):
        raise ConfigError(f"{key} = {value!r}: expected a list of values or a range", hint=f"{key}=[{value!r}], or {key}=uniform(0, 1)")
    if not value:
        raise ConfigError(f"{key} = []: expected at least one value")
    return value


def points(space: Mapping[str, Sequence[Any] | Range], trials: int | None, seed: int) -> list[Point]:
    """Lists alone without `trials`: every combination (a grid). With `trials`: so many points at random, each key drawn by itself.

    Lists alone are drawn without repetition. More trials of the same seed begin with the same points. Raises ConfigError for a range
    without a number of trials, and for more trials than a grid has points.

    >>> points({"seed": [0, 1], "train.clip": [0.5, 1.0]}, None, 0)[1]
    {'seed': 0, 'train.clip': 1.0}
    """
    drawn = [f"{key} = {value}" for key, value in space.items() if isinstance(value, Range)]
    if not drawn:
        grid = [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]  # type: ignore[arg-type]
        if trials is None:
            return grid
        if trials > len(grid):
            raise ConfigError(f"trials = {trials}: these lists have {len(grid)} combinations", hint="leave trials out to try them all")
        return random.Random(derive_seed(seed, "search")).sample(grid, len(grid))[:trials]
    if trials is None:
        raise ConfigError("trials is missing: how many points to draw from the ranges", details=drawn, hint="trials = 8")
    found: list[Point] = []
    for number in range(trials):
        # a value that was tried tells nothing new; where there are few values it has to do
        tried = (_draw(space, derive_seed(seed, "search", number, attempt)) for attempt in range(_TRIES))
        found.append(next((point for point in tried if point not in found), None) or _draw(space, derive_seed(seed, "search", number)))
    return found


def _draw(space: Mapping[str, Sequence[Any] | Range], seed: int) -> Point:
    sources = {key: random.Random(derive_seed(seed, key)) for key in space}
    return {key: value.draw(sources[key]) if isinstance(value, Range) else sources[key].choice(value) for key, value in space.items()}


def with_values(recipe: Recipe, point: Point) -> Recipe:
    """The recipe with settings replaced. A key may end inside an expression, where it is an argument of it.

    `model.dropout` is short for `model.preset.dropout`. Raises ConfigError for a key that is not known.

    >>> recipe = Recipe.model_validate({"model": "tiny(n_layers=1)", "data": "kjv"})
    >>> changed = with_values(recipe, {"train.optimizer.lr": 0.003, "model.dropout": 0.1})
    >>> changed.train.optimizer, changed.model.preset
    ('adamw(lr=0.003)', 'tiny(n_layers=1, dropout=0.1)')
    """
    values = recipe.to_dict()
    # a whole expression first, then what is changed in it
    for key in sorted(point, key=lambda key: key.count(".")):
        _put(values, _long_key(key, recipe), point[key], key)
    return build(Recipe, values)


def _long_key(key: str, recipe: Recipe) -> list[str]:
    path = key.split(".")
    inside = recipe.model.preset is not None and path[0] == "model" and len(path) > 1 and path[1] not in ModelChoice.model_fields
    return ["model", "preset", *path[1:]] if inside else path


def _put(values: dict[str, Any], path: list[str], value: Any, key: str) -> None:
    place = values
    for number, step in enumerate(path[:-1]):
        inner = place.setdefault(step, {})
        if isinstance(inner, str):
            place[step] = _with_argument(inner, path[number + 1 :], value, key)
            return
        if not isinstance(inner, dict):
            raise ConfigError(f"cannot vary {key!r}: {step} is {inner!r}, which has no parts")
        place = inner
    place[path[-1]] = value


def _with_argument(text: str, path: list[str], value: Any, key: str) -> str:
    """An expression with an argument replaced, or one of an expression inside it."""
    try:
        call = parse(text)
    except VariantError:
        call = None
    if not isinstance(call, Call):
        raise ConfigError(f"cannot vary {key!r}: {text!r} is no expression of the form name(argument=value)")
    given, (first, *rest) = dict(call.kwargs), path
    if rest:
        if not isinstance(given.get(first), str | Call):
            raise ConfigError(f"cannot vary {key!r}: {text!r} has no expression for {first}")
        value = _with_argument(str(given[first]), rest, value, key)
    return str(replace(call, kwargs=tuple({**given, first: value}.items())))


def trial_names(space: Mapping[str, Any], found: Sequence[Point]) -> list[str]:
    """Readable names of folders: a number, and what is special about the trial.

    >>> trial_names({"train.optimizer": []}, [{"train.optimizer": "adamw(lr=0.001)"}])
    ['001-optimizer=adamw-lr=0.001']
    """
    short = _short_names(list(space))
    texts = [",".join(f"{short[key]}={_text(value)}" for key, value in point.items()) for point in found]
    return [f"{number:03d}-{text[:_LONGEST].rstrip('-.,')}" for number, text in enumerate(texts, start=1)]


def _short_names(keys: list[str]) -> dict[str, str]:
    """The last part of each key where that is the only one of its kind."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)}


def _text(value: Any) -> str:
    """A value as a part of a file name."""
    text = value if isinstance(value, str) else json.dumps(value)
    return re.sub(r"[^A-Za-z0-9_.=+]+", "-", text).strip("-")
