"""Writing records as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from isinglass.core.errors import ConfigError, DataError, IsinglassError
from isinglass.core.files import atomic
from isinglass.data.records import Record

SUFFIX = ".jsonl"


def write_line(file: IO[str], row: Mapping[str, Any], record: Record) -> None:
    """One row of a record. Raises DataError, with the record's place, for a value that JSON does not know."""
    try:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
    except UnicodeEncodeError:
        file.write(json.dumps(row) + "\n")  # half of a surrogate pair has no UTF-8, but an escape in JSON
    except TypeError as fault:
        raise DataError(f"{record.place}: cannot be written as JSON: {fault}") from None


def write(records: Iterable[Record], path: Path) -> int:
    """Write records, each with its place, to a file that is whole or not there; returns how many. Raises IsinglassError when it cannot be
    written.

    >>> write([Record({"text": "one"}, "a.txt")], Path("out.jsonl"))
    1
    """
    count = 0
    try:
        with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            for record in records:
                write_line(file, {"place": record.place, **record.fields}, record)
                count += 1
    except OSError as fault:
        raise IsinglassError(f"cannot write {str(path)!r}: {fault.strerror or fault}") from None
    return count


def check(path: Path, *, overwrite: bool) -> None:
    """Whether records can be written there; asked before the work and not after it."""
    if path.suffix != SUFFIX:
        raise ConfigError(f"{str(path)!r}: records are written as JSON lines", hint=f"name it {path.stem}{SUFFIX}")
    if path.is_dir():
        raise IsinglassError(f"{str(path)!r} is a folder, expected a file", hint="name another file")
    if path.exists() and not overwrite:
        raise IsinglassError(f"{str(path)!r} is there already", hint="name another file, or add --overwrite")
