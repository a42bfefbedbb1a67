"""A prepared corpus on disk: shards of JSON lines, what was dropped and why, and the card; whole or not there at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from isinglass.core.errors import DataError, IsinglassError
from isinglass.data.card import DataCard, Tally
from isinglass.data.jsonl import write_line
from isinglass.data.sources import DROPPED
from isinglass.data.step import Kept, Outcome

CARD = "card.md"


@dataclass(frozen=True)
class Written:
    """The folder, its shards, and the card."""

    folder: Path
    shards: tuple[str, ...]
    card: DataCard


def write(
    outcomes: Iterable[Outcome],
    out: Path,
    *,
    tally: Tally,
    steps: Sequence[str] = (),
    shard_records: int = 100_000,
    overwrite: bool = False,
) -> Written:
    """Write the outcomes to the folder `out`: `part-00000.jsonl` and so on with what was kept, `dropped.jsonl` with reasons, `card.md`.

    Everything is written to a folder beside it, which takes its place at the end; an error or Ctrl-C leaves nothing behind. Raises
    IsinglassError when `out` is there already and is not to be overwritten, or holds other files, and DataError when nothing was kept.
    """
    check(out, overwrite=overwrite)
    with _whole(out) as folder:
        shards = _write_records(tally.watch(outcomes), folder, tally.text_field, shard_records)
        card = tally.card(steps)
        if not card.n_kept:
            reasons = ", ".join(f"{reason} {n:,}" for reason, n in tally.reasons.most_common(5))
            raise DataError(
                f"no record is left of {card.n_records:,}",
                details=[f"dropped: {reasons}"],
                hint="isinglass explain steps  says what each does",
            )
        (folder / CARD).write_text(card.to_markdown(f"Data card: {out.name}"), encoding="utf-8")
    return Written(out, tuple(shards), card)


def check(out: Path, *, overwrite: bool) -> None:
    """Whether a corpus can be written there; asked before the work and not after it."""
    check_folder(out, _is_of_a_corpus, "a prepared corpus", overwrite=overwrite)


def check_folder(out: Path, ours: Callable[[str], bool], what: str, *, overwrite: bool) -> None:
    """Whether a folder may be made anew: it is not there or empty, or with `overwrite` all file names in it are `ours`."""
    if not out.exists():
        return
    if not out.is_dir():
        raise IsinglassError(f"{str(out)!r} is a file, expected a folder", hint="name another folder")
    names = sorted(path.name for path in out.iterdir())
    if names and not overwrite:
        raise IsinglassError(f"there are files in {str(out)!r}", hint=f"name another folder, or add --overwrite for {what}")
    if others := [name for name in names if not ours(name)]:
        raise IsinglassError(f"{str(out)!r} holds files of something else: {', '.join(others[:5])}", hint="name another folder")


def _is_of_a_corpus(name: str) -> bool:
    return name in (DROPPED, CARD) or (name.startswith("part-") and name.endswith(".jsonl"))


def _write_records(outcomes: Iterable[Outcome], folder: Path, text_field: str, shard_records: int) -> list[str]:
    shards: list[str] = []
    shard: IO[str] | None = None
    kept = 0
    with (folder / DROPPED).open("w", encoding="utf-8", newline="\n") as dropped:
        try:
            for outcome in outcomes:
                record = outcome.record
                if isinstance(outcome, Kept):
                    if kept % shard_records == 0:
                        if shard:
                            shard.close()
                        shards.append(f"part-{len(shards):05}.jsonl")
                        shard = (folder / shards[-1]).open("w", encoding="utf-8", newline="\n")
                    kept += 1
                    # a record that was prepared before keeps the place it first came from
                    write_line(shard, {"place": record.place, **record.fields}, record)  # type: ignore[arg-type] # open since the first
                else:
                    fields = dict(record.fields)
                    if outcome.reason.startswith("personal_data."):
                        fields.pop(text_field, None)  # the list must not become a list of addresses; the place says where the text is
                    write_line(dropped, {"reason": outcome.reason, "detail": outcome.detail, "place": record.place, **fields}, record)
        finally:
            if shard:
                shard.close()
    return shards


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A new folder that takes the place of `out` when all went well."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as fault:
        raise IsinglassError(f"cannot write {str(out)!r}: {fault.strerror or fault}") from None
    try:
        yield folder
        umask = os.umask(0)  # mkdtemp makes folders private; give what mkdir would have given
        os.umask(umask)
        folder.chmod(0o777 & ~umask)
        if out.exists():
            old = folder.with_name(f"{folder.name}.old")
            out.rename(old)
            folder.rename(out)
            shutil.rmtree(old)
        else:
            folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
