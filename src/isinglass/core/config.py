"""Strict configuration: TOML files, dotted overrides, and errors that name the key.

Configs are frozen pydantic models that hold values and no behaviour. An unknown key is an error with a suggestion.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from isinglass.core.errors import ConfigError, closest
from isinglass.core.files import write_atomic

C = TypeVar("C", bound="Config")


class Config(BaseModel):
    """Base of every config: frozen, unknown keys refused, printable as TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with nothing that is None (TOML has no null)."""
        return self.model_dump(mode="json", exclude_none=True)


def build(cls: type[C], values: Mapping[str, Any], *, where: str = "") -> C:
    """Make a config of class `cls`; ConfigError names each wrong key, its value and what was expected."""
    try:
        return cls.model_validate(dict(values))
    except ValidationError as fault:
        raise _explain(cls, fault, where) from None


def _explain(cls: type[Config], fault: ValidationError, where: str) -> ConfigError:
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
            lines.append(f"{key} = {item['input']!r}: {message}" if key else message)
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
