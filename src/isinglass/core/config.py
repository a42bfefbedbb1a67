"""Strict configuration: TOML files, dotted overrides, and errors that name the key.

Configs are frozen pydantic models that hold values and no behaviour. An unknown key is an error with a suggestion.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from isinglass.core.errors import ConfigError, closest
from isinglass.core.files import write_atomic

C = TypeVar("C", bound="Config")
Key = tuple[int | str, ...]  # the way to a value: ("train", "steps")


class Config(BaseModel):
    """Base of every config: frozen, unknown keys refused, printable as TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with nothing that is None (TOML has no null)."""
        return self.model_dump(mode="json", exclude_none=True)


def build(cls: type[C], values: Mapping[str, Any], *, where: str = "", place: Callable[[Key], str] | None = None) -> C:
    """Make a config of class `cls`; ConfigError names each wrong key, its value and what was expected.

    `where` stands before every key; `place` says of a key in which file and line it was given, which then stands before the message.
    """
    try:
        return cls.model_validate(dict(values))
    except ValidationError as fault:
        raise _explain(cls, fault, where, place) from None


def _explain(cls: type[Config], fault: ValidationError, where: str, place: Callable[[Key], str] | None) -> ConfigError:
    lines, hint = [], ""
    for item in fault.errors():
        key = ".".join([where, *map(str, item["loc"])] if where else map(str, item["loc"]))
        if item["type"] == "extra_forbidden":
            known = _keys(cls, item["loc"][:-1])
            near = closest(str(item["loc"][-1]), known)
            lines.append(f"unknown key {key!r} (known: {', '.join(sorted(known))})")
            hint = hint or (f"did you mean {near!r}?" if near else "")
        elif item["type"] == "missing":
            lines.append(f"{key} is missing")
        else:
            message = item["msg"].removeprefix("Value error, ")
            given = f"{key} = {item['input']!r}" if key and not isinstance(item["input"], Mapping) else key
            lines.append(f"{given}: {message}" if given else message)
        if place is not None:
            lines[-1] = f"{place(item['loc'])}: {lines[-1]}"
    return ConfigError(lines[0], details=lines[1:], hint=hint)


def _keys(cls: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """The keys allowed at a place inside a nested config."""
    for step in path:
        field = cls.model_fields.get(str(step))
        choices = [field.annotation, *get_args(field.annotation)] if field else []
        inner = [c for c in choices if isinstance(c, type) and issubclass(c, BaseModel)]
        if not inner:
            return []
        cls = inner[0]
    return list(cls.model_fields)


def read_toml(path: Path | str) -> dict[str, Any]:
    """Read a TOML file; a syntax fault becomes a ConfigError with file and line."""
    path = Path(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no file {str(path)!r}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ConfigError(f"{path}: not readable as TOML: {fault}") from None


def line_of(path: Path | str, key: Key) -> int | None:
    """The line of a TOML file that gives a key, or else the table or value that it stands in; None where there is none of them.

    >>> _ = Path("recipe.toml").write_text("seed = 1\\n[train]\\nsteps = 2\\n")
    >>> line_of("recipe.toml", ("train", "steps")), line_of("recipe.toml", ("train", "clip")), line_of("recipe.toml", ("model",))
    (3, 2, None)
    """
    table: Key = ()
    found, depth = None, 0
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        heading, given = _HEADING.match(line), _GIVEN.match(line)
        if heading:
            here = table = _parts(heading[1])
        elif given:
            here = (*table, *_parts(given[1]))
        else:
            continue
        if len(here) > depth and here == tuple(map(str, key[: len(here)])):
            found, depth = number, len(here)
    return found


_HEADING, _GIVEN = re.compile(r"\s*\[+([^\[\]]+)\]"), re.compile(r"""\s*([\w\-."' ]+?)\s*=""")


def _parts(dotted: str) -> Key:
    return tuple(part.strip(" \"'") for part in dotted.split("."))


def write_toml(path: Path | str, values: Mapping[str, Any]) -> Path:
    """Write plain values as TOML, in one step."""
    return write_atomic(path, tomli_w.dumps(dict(values)))


def parse_override(text: str) -> tuple[list[str], Any]:
    """`a.b=3` -> (["a", "b"], 3). The value is TOML; a bare word is taken as a string.

    >>> parse_override("model.attention.position=alibi")
    (['model', 'attention', 'position'], 'alibi')
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise ConfigError(f"cannot read the override {text!r}", hint="write key.of.setting=value")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    return key.strip().split("."), parsed


def with_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A deep copy of `values` with `key.of.setting=value` texts applied in order."""
    result = _copy(values)
    for text in overrides:
        path, value = parse_override(text)
        place = result
        for step in path[:-1]:
            place = place.setdefault(step, {})
            if not isinstance(place, dict):
                raise ConfigError(f"cannot set {'.'.join(path)!r}: {step!r} is a value, not a table")
        place[path[-1]] = value
    return result


def _copy(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in values.items()}
