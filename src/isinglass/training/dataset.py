"""From what a user names as data to records that are learned and records that are held out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from isinglass.core.errors import ConfigError, DataError, unknown
from isinglass.core.runtime import derive_seed
from isinglass.data.records import Record
from isinglass.data.sources import read

_OPTIONS = {"source", "format", "columns", "unit"}
Data = str | Path | Mapping[str, Any] | Iterable[str | Mapping[str, Any] | Record]


def records_of(data: Data) -> list[Record]:
    """The records of a source (a path or an asset), of its options (`{"source": ..., "columns": ...}`), or of given texts and dicts.

    Raises DataError for data without any record.
    """
    if isinstance(data, str | Path):
        records = list(read(data))
    elif isinstance(data, Mapping):
        records = _of_source(dict(data))  # type: ignore[arg-type] - a mapping, not texts
    else:
        records = [_record(item, number) for number, item in enumerate(data)]
    if not records:
        raise DataError("there is no record to learn from", hint="isinglass data show SOURCE")
    return records


def check_options(options: Mapping[str, Any]) -> None:
    """Raises ConfigError unless these are options of a source."""
    wrong = sorted(options.keys() - _OPTIONS)
    if wrong:
        raise unknown("option", wrong[0], _OPTIONS, where="data")
    if "source" not in options:
        raise ConfigError("data.source is missing", hint='data = {source = "messages.tsv", columns = ["label", "text"]}')


def _of_source(options: dict[str, Any]) -> list[Record]:
    check_options(options)
    return list(read(options.pop("source"), **options))


def _record(item: str | Mapping[str, Any] | Record, number: int) -> Record:
    if isinstance(item, Record):
        return item
    return Record({"text": item} if isinstance(item, str) else item, f"record {number}")


def held_out(records: list[Record], share: float, seed: int) -> tuple[list[Record], list[Record]]:
    """Records to learn from, and a share to be evaluated on.

    A single text is cut: its end is held out. Of many records each goes by a hash of its content, so equal ones never stand on both sides.

    >>> [len(side) for side in held_out([Record({"text": "a" * 100}, "a.txt")], 0.1, seed=0)]
    [1, 1]
    """
    if share == 0:
        return records, []
    if len(records) == 1:
        if "text" not in records[0].fields:
            raise DataError(f"{records[0].place}: one record cannot be learned from and held out as well", hint="set validation = 0")
        text = records[0].text
        cut = int(len(text) * (1 - share))
        return [_part(records[0], text[:cut])], [_part(records[0], text[cut:])]
    content = [repr(sorted(record.fields.items(), key=lambda field: field[0])) for record in records]
    # the smallest hashes are held out, exactly the share that was asked for: of few records a share by chance may be none
    hashes = sorted({derive_seed(seed, "held out", text) for text in content})
    limit = hashes[max(1, round(share * len(hashes))) - 1]
    sides = [derive_seed(seed, "held out", text) <= limit for text in content]
    kept = [record for record, out in zip(records, sides, strict=True) if not out]
    if not kept:
        raise DataError(f"all {len(records)} records hold the same, so none can be held out", hint="set validation = 0")
    return kept, [record for record, out in zip(records, sides, strict=True) if out]


def _part(record: Record, text: str) -> Record:
    return Record({**record.fields, "text": text}, record.place)
