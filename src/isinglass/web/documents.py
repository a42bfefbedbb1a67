"""The index of the page Ask: made once from a folder of documents, kept in the user's cache, made anew when a document has changed."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from isinglass.assets.find import cache_folder
from isinglass.core.files import write_atomic
from isinglass.web.events import Working

if TYPE_CHECKING:
    from isinglass.retrieval.documents import Skipped, SourceText
    from isinglass.retrieval.index import Index
    from isinglass.web.bench import Bench

_WAIT_SECONDS = 0.1


class _StoppedError(Exception):
    """Raised in the thread that makes an index when nobody wants it any more."""


def place(folder: str) -> Path:
    """Where the index of a folder is kept; empty: that of the project's own collection."""
    if not folder:
        return cache_folder() / "lab" / "ask-tidewell"
    path = Path(folder).expanduser().resolve()
    return cache_folder() / "lab" / f"ask-{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"


@dataclass(frozen=True, eq=False)
class Opened:
    """An index, and the files of its folder that were left out."""

    index: Index
    skipped: tuple[Skipped, ...]


def opened(bench: Bench, folder: str) -> Iterator[Working]:
    """The index of a folder: `found = yield from opened(bench, folder)`. Raises DataError for a folder without documents."""
    from isinglass.retrieval.documents import COLLECTION, read_folder
    from isinglass.retrieval.index import open_index

    yield Working("reading the documents")
    documents, skipped = read_folder(folder or COLLECTION)
    skipped = skipped if folder else []
    at, content = place(folder), _content(documents)
    key = (str(at), content)
    if key not in bench.indexes:
        while str(at) in bench.training:
            yield Working("waiting for the index, which is just being made")
            time.sleep(_WAIT_SECONDS)
        stamp = at.with_suffix(".sha256")
        if not (stamp.is_file() and stamp.read_text() == content and at.is_dir()):
            yield from _made(bench, at, documents, lambda: write_atomic(stamp, content))
        yield Working("opening the index")
        bench.indexes.put(key, open_index(str(at)))
    return Opened(bench.indexes.get(key, dict), tuple(skipped))


def _content(documents: list[SourceText]) -> str:
    """What the documents say, as a hash."""
    digest = hashlib.sha256()
    for document in documents:
        for part in (document.name, document.text):
            digest.update(f"{len(part)}:{part}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _made(bench: Bench, at: Path, documents: list[SourceText], ended: Callable[[], object]) -> Iterator[Working]:
    """Make an index in a thread, so that its progress is told, and call `ended`. One that is stopped ends with the passages in hand, and
    leaves what was there."""
    from isinglass.retrieval.index import make_index

    told: list[tuple[int, int]] = []
    faults: list[BaseException] = []
    stop = threading.Event()

    def tell(done: int, total: int) -> None:
        told.append((done, total))
        if stop.is_set():
            raise _StoppedError

    def work() -> None:
        try:
            make_index(str(at), documents, tell=tell)
            ended()
        except BaseException as fault:
            faults.append(fault)
        finally:
            bench.training.discard(str(at))

    thread = threading.Thread(target=work, daemon=True)
    bench.training.add(str(at))
    thread.start()
    try:
        while thread.is_alive():
            yield Working("indexing passages", *told[-1]) if told else Working(f"indexing {len(documents):,} documents")
            thread.join(_WAIT_SECONDS)
    finally:
        stop.set()
    if faults:
        raise faults[0]
