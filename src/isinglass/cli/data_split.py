"""`isinglass data split`: a corpus into sides that share no text, each a file of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from isinglass.cli.data_show import Columns, Format, UnitOption, named, watching
from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Names, option, verb
from isinglass.core.errors import ConfigError, IsinglassError
from isinglass.core.files import whole_folder
from isinglass.data import jsonl
from isinglass.data.folder import check_folder
from isinglass.data.records import Record
from isinglass.data.sources import read
from isinglass.data.split import check, split
from isinglass.show.table import Table

EXAMPLES = (
    "isinglass data split kjv --shares 0.9,0.1 --out sides",
    "isinglass data split corpus.jsonl --shares train=0.8,test=0.2 --near 0.8 --out sides",
)
app = verb(
    "split",
    EXAMPLES,
    notes=[
        "A hash of the text says which side it is on: equal texts are on one side, and in a corpus that grows no text changes sides.",
        "So shares hold on average: of n texts a side gets its share of n, give or take a few times the square root of n.",
        "Shares without names are train and validation, or train, validation and test.",
    ],
)
_NAMES = ("train", "validation", "test")


@app.default
def split_(
    source: Annotated[str, Parameter(help="A file, a folder, or kjv, web, kjv-web.")],
    /,
    *,
    out: Annotated[Path, option("The folder to write: a file for each side.")],
    shares: Annotated[Names, option("Comma-separated parts that sum to 1, with names (train=0.9) or without.")] = ("0.9", "0.05", "0.05"),
    near: Annotated[float | None, option("Also keep near duplicates on one side: from this Jaccard similarity on (0.1 to 1).")] = None,
    seed: Annotated[int, option("Another seed gives other sides.")] = 0,
    field: Annotated[str, option("The field that holds the text.")] = "text",
    format: Format = None,
    columns: Columns = None,
    unit: UnitOption = None,
    overwrite: Annotated[bool, option("Replace sides that are in the folder.")] = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Divide a corpus into sides that share no text."""
    wanted = _shares(shares)
    check_folder(out, lambda name: name.endswith(jsonl.SUFFIX), "sides of an earlier split", overwrite=overwrite)
    with closing(watching(read(named(source), format=format, columns=columns, unit=unit), f"reading {source}", output)) as watched:
        records = list(watched)
    sides: dict[str, list[Record]] = {name: [] for name in wanted}
    for placed in split(records, wanted, seed=seed, field=field, clusters=_clusters(records, field, near, output)):
        sides[placed.side].append(placed.record)
    if empty := [name for name, side in sides.items() if not side and wanted[name]]:
        raise IsinglassError(
            f"no text of {len(records):,} falls on the side {empty[0]!r}, whose share is {wanted[empty[0]]:g}",
            hint="more texts (--unit line or paragraph), or a larger share",
        )
    try:
        with whole_folder(out) as staging:
            for name, side in sides.items():
                jsonl.write(side, staging / f"{name}{jsonl.SUFFIX}")
    except OSError as fault:
        raise IsinglassError(f"cannot write {str(out)!r}: {fault.strerror or fault}") from None
    rows = [
        {"side": name, "file": str(out / f"{name}{jsonl.SUFFIX}"), "records": len(side), "share wanted": wanted[name],
         "share": len(side) / len(records)}
        for name, side in sides.items()
    ]  # fmt: skip
    table = Table(rows, title=f"{len(records):,} records of {source}", units={"share wanted": "ratio", "share": "ratio"})
    output.emit(Result({"path": str(out), "records": len(records), "sides": rows}, parts=[table]))


def _clusters(records: Sequence[Record], field: str, near: float | None, output: Output) -> Sequence[int] | None:
    """For each record the first of its cluster of near duplicates; None when those are not asked for."""
    if near is None:
        return None
    from isinglass.data.similar import clusters

    with output.working("looking for near duplicates"):
        return clusters([record.string(field) for record in records], threshold=near).first


def _shares(given: Sequence[str]) -> Mapping[str, float]:
    """Names and parts. Raises ConfigError for what is no number, for a name given twice, and for parts that do not sum to 1."""
    if not any("=" in part for part in given):
        if not 2 <= len(given) <= len(_NAMES):
            raise ConfigError(f"--shares: {len(given)} parts without names, expected 2 or 3", hint="--shares a=0.4,b=0.3,c=0.2,d=0.1")
        given = [f"{name}={part}" for name, part in zip(_NAMES, given, strict=False)]
    pairs = [tuple(word.strip() for word in part.partition("=")[::2]) for part in given]
    try:
        shares = {name: float(part) for name, part in pairs}
    except ValueError:
        raise ConfigError(
            f"--shares: {','.join(given)!r}: expected name=number for each side", hint="--shares train=0.9,test=0.1"
        ) from None
    if len(shares) < len(pairs) or any(not name or not name.replace("-", "_").isidentifier() for name in shares):
        raise ConfigError(
            f"--shares: {','.join(given)!r}: expected different names, which become files", hint="--shares train=0.9,test=0.1"
        )
    check(shares)
    return shares
