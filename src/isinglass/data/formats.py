"""File formats: how the records of one file are read, line by line, each with the file and line it came from."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from isinglass.core.errors import DataError
from isinglass.data.records import Record

Unit = Literal["file", "paragraph", "line"]
_CELL = 1 << 30  # characters: the csv module refuses cells above 131,072, which a long document passes


@dataclass(frozen=True)
class Reading:
    """How a file is to be read: the names of its columns or fields, and what one record of plain text is."""

    columns: tuple[str, ...] | None = None
    unit: Unit = "file"


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers and ends; a byte order mark is left out. Raises DataError where it is not UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as fault:
                raise DataError(
                    f"{path}:{number}: not UTF-8: byte 0x{line[fault.start]:02x} at place {fault.start + 1} of the line",
                    hint=f"convert it first: iconv -f latin1 -t utf-8 {path}",
                ) from None


def text(path: Path, how: Reading) -> Iterator[Record]:
    """Plain text: the file, its paragraphs (lines up to an empty one), or its lines that are not empty."""
    if how.unit == "line":
        return (Record({"text": whole}, f"{path}:{number}") for number, line in lines(path) if (whole := line.rstrip("\r\n")).strip())
    if how.unit == "paragraph":
        return _paragraphs(path)
    whole = "".join(line for _, line in lines(path))
    return iter([Record({"text": whole}, f"{path}:1")] if whole.strip() else [])


def _paragraphs(path: Path) -> Iterator[Record]:
    gathered: list[str] = []
    began = 0
    for number, line in lines(path):
        if line.strip():
            began = began if gathered else number
            gathered.append(line.rstrip("\r\n"))
        elif gathered:
            yield Record({"text": "\n".join(gathered)}, f"{path}:{began}")
            gathered = []
    if gathered:
        yield Record({"text": "\n".join(gathered)}, f"{path}:{began}")


def jsonl(path: Path, how: Reading) -> Iterator[Record]:
    """One JSON object per line; empty lines are passed over."""
    for number, line in lines(path):
        if line.strip():
            place = f"{path}:{number}"
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as fault:
                raise DataError(
                    f"{place}: broken JSON: {_told(fault)}",
                    details=[_shortened(line)],
                    hint="a .jsonl file holds one whole JSON object on each line",
                ) from None
            yield _object(value, place, how)


def json_list(path: Path, how: Reading) -> Iterator[Record]:
    """A JSON list of objects, as Alpaca's; it is read whole."""
    whole = "".join(line for _, line in lines(path))
    try:
        value = json.loads(whole)
    except (ValueError, RecursionError) as fault:
        line = getattr(fault, "lineno", 1)
        hint = "lines that each hold an object are jsonl: give the format, or the suffix .jsonl"
        raise DataError(f"{path}:{line}: broken JSON: {_told(fault)}", hint=hint) from None
    if not isinstance(value, list):
        raise DataError(f"{path}:1: holds a {_kind(value)}, expected a list of objects", hint="[{...}, {...}]")
    for place, item in enumerate(value):
        yield _object(item, f"{path}[{place}]", how)


def separated_by_commas(path: Path, how: Reading) -> Iterator[Record]:
    """Comma-separated values (RFC 4180): quoted cells may hold commas and line breaks."""
    csv.field_size_limit(max(_CELL, csv.field_size_limit()))
    reader = csv.reader((line for _, line in lines(path)), strict=True)

    def rows() -> Iterator[tuple[int, list[str]]]:
        began = 1
        try:
            for row in reader:
                yield began, row
                began = reader.line_num + 1
        except csv.Error as fault:
            raise DataError(f"{path}:{began}: broken CSV: {fault}", hint="a quotation mark inside of a cell is written twice") from None

    return _rows(path, rows(), how)


def separated_by_tabs(path: Path, how: Reading) -> Iterator[Record]:
    """Tab-separated values: a quotation mark is a character like any other (readers that quote lose lines of the SMS file)."""
    return _rows(path, ((number, line.rstrip("\r\n").split("\t")) for number, line in lines(path) if line.strip("\r\n")), how)


READERS: dict[str, Callable[[Path, Reading], Iterator[Record]]] = {
    "txt": text,
    "jsonl": jsonl,
    "json": json_list,
    "csv": separated_by_commas,
    "tsv": separated_by_tabs,
}
SUFFIXES = {".txt": "txt", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv"}


def _rows(path: Path, rows: Iterable[tuple[int, list[str]]], how: Reading) -> Iterator[Record]:
    """Rows as records. With columns given, a first row that repeats them is the heading; without, the first row is."""
    names = how.columns
    for at, (number, row) in enumerate(rows):
        if not row or (at == 0 and names == tuple(row)):
            continue
        if names is None:
            names = tuple(row)
            if len(set(names)) < len(names):
                raise DataError(
                    f"{path}:{number}: the heading names a column twice: {', '.join(names)}", hint="a file without a heading needs columns"
                )
            continue
        if len(row) != len(names):
            raise DataError(
                f"{path}:{number}: {len(row)} cells, expected {len(names)}: {', '.join(names)}", details=[_shortened(" | ".join(row))]
            )
        yield Record(dict(zip(names, row, strict=True)), f"{path}:{number}")


def _object(value: Any, place: str, how: Reading) -> Record:
    if not isinstance(value, dict):
        raise DataError(f"{place}: a {_kind(value)}, expected an object such as {{'text': '...'}}")
    record = Record(value, place)
    return record if how.columns is None else Record({name: record[name] for name in how.columns}, place)


def _told(fault: Exception) -> str:
    if isinstance(fault, json.JSONDecodeError):
        return f"{fault.msg.removesuffix(' at')} at character {fault.colno}"
    return "too deeply nested" if isinstance(fault, RecursionError) else str(fault)


def _kind(value: Any) -> str:
    return {dict: "JSON object", list: "list", str: "text", bool: "truth value", type(None): "null"}.get(type(value), "number")


def _shortened(line: str) -> str:
    whole = line.strip()
    return whole if len(whole) <= 120 else whole[:117] + "..."
