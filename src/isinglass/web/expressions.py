"""Expressions that come from an address."""

from __future__ import annotations

from isinglass.core.errors import ConfigError


def named(text: str, what: str, *, command: str) -> str:
    """An expression of names and numbers. Raises ConfigError for one that names a file of Python: an address must not run a program."""
    if ".py" in text:
        raise ConfigError(f"{what} {text!r}: the lab takes names alone, no files", hint=f"use it from the command line ({command})")
    return text
