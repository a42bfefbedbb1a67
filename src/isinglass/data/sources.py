"""Sources: records read from files, folders and the corpora known by name, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from isinglass.core.errors import DataError, unknown
from isinglass.data import bible, reviews
from isinglass.data.formats import READERS, SUFFIXES, Reading, Unit
from isinglass.data.records import Record

#: What `isinglass data prepare` calls the file of what it dropped; a folder is read without it.
DROPPED = "dropped.jsonl"
CORPORA = (*bible.CORPORA, reviews.NAME)


def read(
    source: str | Path, *, format: str | None = None, columns: Sequence[str] | None = None, unit: Unit | None = None
) -> Iterator[Record]:
    """The records of a source, one by one, so that a corpus need not fit into memory.

    `source` is a file, a folder (every file of a known suffix in it and below, in order of path), or a corpus by name: `kjv`, `web`,
    `kjv-web` (verses of both, aligned), `reviews` (of films, labelled positive and negative). A file of the same name as a corpus is
    read as `./kjv`. `format` (txt, jsonl, csv, tsv, json) comes from the suffix when it is not given.

    `unit` says what one record of plain text is: the whole file (the default), a paragraph (lines up to an empty one) or a line; of a
    Bible a book, a chapter or a verse (the default). `columns` names the columns of a csv or tsv file without a heading, such as the
    UCI file of SMS messages (`format="tsv", columns=("label", "text")`); of jsonl and json it names the fields that each record must
    have, and no others are kept.

    Raises DataError, with file and line, for what cannot be read: an unknown source, text that is not UTF-8, broken JSON, a row of
    another length, a missing field, a corpus without records. A whole file as one record, and a json list, are held in memory.

    >>> next(read("kjv")).text  # doctest: +SKIP
    'In the beginning God created the heaven and the earth.'
    """
    if unit is not None and unit not in ("file", "paragraph", "line"):
        raise unknown("unit", unit, ("file", "paragraph", "line"))
    if format is not None and format not in READERS:
        raise unknown("format", format, READERS)
    return _or_nothing(_records(source, format, None if columns is None else tuple(columns), unit), str(source))


def is_corpus(source: str | Path) -> bool:
    """Whether a source is a corpus by name, and not a path."""
    return isinstance(source, str) and source in CORPORA


def files(folder: Path, format: str | None = None) -> list[Path]:
    """The files of a folder that `read` takes, in order of path: those of a known suffix, or all when the format is given."""
    found = (path for path in folder.rglob("*") if path.is_file() and (format is not None or path.suffix.lower() in SUFFIXES))
    seen = (path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return sorted(path for path in seen if path.name != DROPPED)


def _records(source: str | Path, format: str | None, columns: tuple[str, ...] | None, unit: Unit | None) -> Iterator[Record]:
    if is_corpus(source):
        yield from reviews.read() if source == reviews.NAME else bible.read(str(source), unit or "line")
        return
    path = Path(source).expanduser()
    if not path.exists():
        hint = "give the path of a file or folder, or the name of a corpus"
        fault = unknown("source", str(source), CORPORA, error=DataError)
        raise DataError(f"{fault.message}: there is no such file, folder or corpus", details=fault.details, hint=fault.hint or hint)
    if path.is_dir():
        for file in files(path, format):
            yield from _file(file, format, columns, unit)
        return
    yield from _file(path, format, columns, unit)


def _file(path: Path, format: str | None, columns: tuple[str, ...] | None, unit: Unit | None) -> Iterator[Record]:
    named = format or SUFFIXES.get(path.suffix.lower())
    if named is None:
        raise DataError(
            f"{str(path)!r}: the suffix {path.suffix!r} does not say what it holds",
            details=[f"known: {', '.join(sorted(SUFFIXES))}"],
            hint=f"give the format: one of {', '.join(sorted(READERS))}",
        )
    try:
        yield from READERS[named](path, Reading(columns, unit or "file"))
    except OSError as fault:
        raise DataError(f"cannot read {str(path)!r}: {fault.strerror or fault}") from None


def _or_nothing(records: Iterator[Record], name: str) -> Iterator[Record]:
    """The records; an error when there are none."""
    empty = True
    for record in records:
        empty = False
        yield record
    if empty:
        raise DataError(f"{name!r} holds no records", hint="is it the right file? isinglass data show kjv shows a corpus that is whole")
