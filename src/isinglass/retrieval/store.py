"""The passages with their vectors and words, kept by LanceDB: a folder, or a place in object storage by its URL.

A new index is written beside the old one and takes its place in one step, when its card is written; a process that is killed before
leaves the old index as it was.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import DataError, ExtraMissing
from isinglass.retrieval.chunk import Chunk

_CARD = "card"  # the table whose one row says which table holds the passages
_PREFIX = "passages_"


@dataclass(frozen=True)
class Card:
    """How an index was made: the model of its vectors, the size of its passages, and the documents."""

    model: str
    size: int
    overlap: int
    documents: tuple[str, ...]
    passages: int


@dataclass(frozen=True)
class Scored:
    """A passage by its number, with a score of which more is better."""

    number: int
    score: float


class Store:
    """An index that is opened for reading."""

    def __init__(self, table: Any, card: Card) -> None:
        self._table, self.card = table, card

    def dense(self, vector: NDArray[np.floating], n: int) -> list[Scored]:
        """The `n` passages whose vectors have the largest cosine with `vector`."""
        rows = self._table.search(np.asarray(vector, np.float32)).distance_type("cosine").select(["number", "_distance"]).limit(n).to_list()
        return [Scored(row["number"], 1 - row["_distance"]) for row in rows]

    def words(self, text: str, n: int) -> list[Scored]:
        """The `n` passages that share words with `text`, by BM25 (Robertson and Zaragoza 2009); fewer where fewer share one."""
        from lancedb.query import MatchQuery

        query = MatchQuery(text, "text")  # pyright: ignore[reportCallIssue] - the others have defaults
        rows = self._table.search(query, query_type="fts").select(["number", "_score"]).limit(n).to_list()
        return sorted((Scored(row["number"], row["_score"]) for row in rows), key=lambda one: (-one.score, one.number))

    def chunks(self, numbers: Sequence[int]) -> list[Chunk]:
        """Passages by their numbers, in that order."""
        if not numbers:
            return []
        wanted = ", ".join(str(int(number)) for number in numbers)
        columns = ["number", "source", "start", "end", "text"]
        rows = self._table.search().where(f"number IN ({wanted})").select(columns).limit(len(numbers)).to_list()
        found = {row["number"]: Chunk(**{name: row[name] for name in columns}) for row in rows}
        return [found[number] for number in numbers]


def _connect(place: str) -> Any:
    os.environ.setdefault("LANCEDB_LOG", "error")  # it warns on stderr of every table that is new
    try:
        import lancedb
    except ImportError:
        raise ExtraMissing("lancedb", "rag") from None
    return lancedb.connect(place if "://" in place else str(Path(place).expanduser()))


def _tables(database: Any) -> list[str]:
    return [str(name) for name in database.list_tables().tables]


def write(place: str, batches: Iterable[tuple[Sequence[Chunk], NDArray[np.float32]]], *, d: int, card: Card) -> Store:
    """Write passages with their vectors `[passage, d]`, batch by batch; the index that was there is replaced at the end.

    `card.passages` is filled in. Raises DataError when there is no passage.
    """
    database = _connect(place)  # first: it says what is missing
    import pyarrow as pa
    from lancedb.index import FTS

    name, written = _PREFIX + secrets.token_hex(4), 0
    told = [("number", pa.int64()), ("source", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("text", pa.string())]
    schema = pa.schema([*told, ("vector", pa.list_(pa.float32(), d))])
    table = database.create_table(name, schema=schema)
    try:
        for chunks, vectors in batches:
            table.add(pa.table({**_columns(chunks), "vector": list(vectors)}, schema=schema))
            written += len(chunks)
        if not written:
            raise DataError("there is no passage to index")
        table.optimize()  # one file in place of one for each batch: every search and every look at passages opens fewer
        table.create_index("text", config=FTS())
    except BaseException:
        database.drop_table(name)
        raise
    held = json.dumps({**asdict(card), "passages": written})
    # one step: from here on the new index is the index
    database.create_table(_CARD, data=[{"table": name, "card": held}], mode="overwrite")
    for old in _tables(database):
        if old.startswith(_PREFIX) and old != name:
            database.drop_table(old)
    return open_store(place)


def _columns(chunks: Sequence[Chunk]) -> dict[str, list[Any]]:
    """The chunks' fields, each as a column."""
    return {one.name: [getattr(chunk, one.name) for chunk in chunks] for one in fields(Chunk)}


def open_store(place: str) -> Store:
    """An index for reading. Raises DataError where there is none."""
    if "://" not in place and not Path(place).expanduser().is_dir():
        raise DataError(f"no index at {place!r}", hint="isinglass rag index FOLDER --out INDEX makes one")
    database = _connect(place)
    if _CARD not in _tables(database):
        raise DataError(f"{place!r} holds no index", hint="isinglass rag index FOLDER --out INDEX makes one")
    row = database.open_table(_CARD).to_arrow().to_pylist()[0]
    told = json.loads(row["card"])
    return Store(database.open_table(row["table"]), Card(**{**told, "documents": tuple(told["documents"])}))
