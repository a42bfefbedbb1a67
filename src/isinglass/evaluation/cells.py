"""Cells of a long comparison, kept one by one, so that what is done is never done again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isinglass.core.errors import CheckpointError, IsinglassError
from isinglass.core.files import write_atomic

_ABOUT = "comparison.json"


class Cells:
    """A folder with a file for each cell that is done, and one that says what all of them are about.

    Raises CheckpointError for a folder whose cells are about something else, or that holds other files.

    >>> cells = Cells(Path("out"), {"data": "a"})
    >>> cells.keep("head, seed 0", {"accuracy": 0.9})
    >>> Cells(Path("out"), {"data": "a"}).read()
    {'head, seed 0': {'accuracy': 0.9}}
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder = folder
        _check(folder, about)
        self._write(_ABOUT, about)

    def read(self) -> dict[str, dict[str, Any]]:
        """The cells that are done, by name, in the order of their names."""
        found = {path.stem: _json(path) for path in self.folder.glob("*.json") if path.name != _ABOUT}
        return dict(sorted(found.items()))

    def keep(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a cell in one step."""
        self._write(f"{name}.json", values)

    def _write(self, name: str, values: Mapping[str, Any]) -> None:
        try:
            write_atomic(self.folder / name, json.dumps(values, indent=2) + "\n")
        except OSError as fault:
            raise IsinglassError(f"cannot write {str(self.folder / name)!r}: {fault.strerror or fault}") from None


def _check(folder: Path, about: Mapping[str, Any]) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise CheckpointError(f"{str(folder)!r} is a file, expected a folder", hint="name another folder")
    if not (folder / _ABOUT).is_file():
        if any(not path.name.startswith(".") for path in folder.iterdir()):
            raise CheckpointError(f"there are files in {str(folder)!r}, and no {_ABOUT} among them", hint="name another folder")
        return
    was, now = _json(folder / _ABOUT), json.loads(json.dumps(about))
    if was != now:
        names = [name for name in dict.fromkeys([*was, *now]) if was.get(name) != now.get(name)]
        details = [f"{name} was {was.get(name)!r}, is {now.get(name)!r}" for name in names]
        raise CheckpointError(f"{str(folder)!r} holds results of another comparison", details=details, hint="name another folder")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as fault:
        raise CheckpointError(f"cannot read {str(path)!r}: {fault}", hint="delete the file: it is made again") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{str(path)!r} holds {type(found).__name__}, expected an object", hint="delete the file: it is made again")
    return found
