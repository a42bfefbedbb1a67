"""Every error the project raises on purpose, and how it reads.

    IsinglassError            the root: catch this to catch them all
    ├── ConfigError           a setting is unknown, of the wrong type, or out of range
    │   └── VariantError      an expression such as "rotary(base=1e4)" cannot be understood
    ├── ShapeError            dimensions that do not fit together
    ├── TokenizerError        text or ids a vocabulary cannot take
    ├── DataError             a file of the user that cannot be read as what it should be
    ├── AssetError            a vocabulary, weight file or corpus that is missing or damaged
    ├── CheckpointError       weights that do not fit the model, or a file cut short
    ├── EngineError           generation asked for something the model cannot do
    ├── TrainingError         training that cannot go on: a loss that is no number, nothing left to train
    ├── PriceError            a price that is unknown or stale
    └── ExtraMissing          an optional package is needed; says which extra to install

A message says what, where, the value with `!r` and what was expected. `details` are further lines (known names, both shapes);
`hint` is one thing the reader can do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TypeVar


class IsinglassError(Exception):
    """Root of the tree. `str(error)` is the whole text: message, indented details, and a `hint:` line.

    >>> print(IsinglassError("no file 'x.toml'", details=["looked in ."], hint="isinglass doctor"))
    no file 'x.toml'
      looked in .
    hint: isinglass doctor
    """

    def __init__(self, message: str, *, details: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.message, *(f"  {line}" for line in self.details)]
        return "\n".join([*lines, f"hint: {self.hint}"] if self.hint else lines)


class ConfigError(IsinglassError):
    """A setting is unknown, of the wrong type, or out of range."""


class VariantError(ConfigError):
    """A variant expression cannot be understood, or names something unknown."""


class ShapeError(IsinglassError):
    """Dimensions that do not fit together."""


class TokenizerError(IsinglassError):
    """Text or ids that a vocabulary cannot take, or a vocabulary file that cannot be read."""


class DataError(IsinglassError):
    """A file of the user that cannot be read as what it should be."""


class AssetError(IsinglassError):
    """A vocabulary, weight file or corpus that is missing or damaged."""


class CheckpointError(IsinglassError):
    """Weights that do not fit the model, or a weight file that is cut short."""


class EngineError(IsinglassError):
    """Generation was asked for something the model cannot do."""


class TrainingError(IsinglassError):
    """Training cannot go on."""


class PriceError(IsinglassError):
    """A price that is unknown or stale."""


class ExtraMissing(IsinglassError):  # noqa: N818 - the name the design gives it
    """An optional package is needed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs the package {package!r}, which is not installed", hint=f"pip install 'isinglass[{extra}]'")


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name nearest to a mistyped one, or None when nothing is near."""
    matches = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


E = TypeVar("E", bound=IsinglassError)


def unknown(
    kind: str,
    name: str,
    known: Iterable[str],
    *,
    where: str = "",
    more: str = "",
    error: type[E] = ConfigError,  # type: ignore[assignment]
) -> E:
    """The error for a name that is not known: what it was, what is known, and the nearest known name.

    `where` is a dotted key or file, `more` a command that tells more ("isinglass explain {name}" is filled in).

    >>> print(unknown("mask", "casual", ["causal", "full"], where="attention.mask"))
    unknown mask 'casual' in attention.mask
      known: causal, full
    hint: did you mean 'causal'?
    """
    names = sorted(known)
    near = closest(name, names)
    hints = ([f"did you mean {near!r}?"] if near else []) + ([more.format(name=near or (names[0] if names else name))] if more else [])
    message = f"unknown {kind} {name!r}" + (f" in {where}" if where else "")
    return error(message, details=[f"known: {', '.join(names)}"], hint="  ".join(hints))
