"""Records: what a corpus is made of. Each knows the place it came from, so that every later error can name file and line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isinglass.core.errors import DataError


@dataclass(frozen=True)
class Record:
    """One item of a corpus: its fields by name (`text`, `label`, `prompt`, `chosen`, ...) and the place it came from.

    >>> Record({"text": "In the beginning", "label": "KJV"}, "genesis.csv:2").text
    'In the beginning'
    """

    fields: Mapping[str, Any]
    place: str  # file:line, or the name of an asset and of the part of it

    @property
    def text(self) -> str:
        """The field `text`."""
        return self.string("text")

    def string(self, name: str) -> str:
        """A field that must be text. Raises DataError, with file and line, when it is missing or is none."""
        value = self[name]
        if not isinstance(value, str):
            raise DataError(f"{self.place}: field {name!r} is {value!r}, expected text")
        return value

    def __getitem__(self, name: str) -> Any:
        if name not in self.fields:
            raise DataError(f"{self.place}: no field {name!r}", details=[f"it has: {', '.join(self.fields) or 'none'}"])
        return self.fields[name]
