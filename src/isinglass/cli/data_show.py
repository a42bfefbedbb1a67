"""`isinglass data show`: what a corpus holds, before anything is done with it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Names, at_least, option, verb
from isinglass.core.errors import ConfigError, DataError
from isinglass.data import lengths
from isinglass.data.formats import READERS
from isinglass.data.records import Record
from isinglass.data.sources import is_corpus, read
from isinglass.show.marks.tokens import TokenStrips
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.show.terminal import progress

EXAMPLES = (
    "isinglass data show kjv",
    "isinglass data show kjv-web --first 3",
    "isinglass data show corpus.txt --unit paragraph --tokenizer gpt2",
    "isinglass data show SMSSpamCollection --format tsv --columns label,text",
    "isinglass data show instructions.json --tokenizer smollm2 --objective \"instruction(template='own')\"",
)
app = verb(
    "show", EXAMPLES, notes=["A source is a file (txt jsonl csv tsv json), a folder of such files, or a corpus by name: kjv, web, kjv-web."]
)
T = TypeVar("T")
_CELL = 200  # characters of a field that are shown
_PULSE = 256  # records between two movements of the bar

Format = Annotated[str | None, option(f"One of {', '.join(READERS)}; without it, what the suffix says.")]
Columns = Annotated[Names | None, option("Comma-separated columns of a csv or tsv file without a heading, or fields that JSON must have.")]
UnitOption = Annotated[
    Literal["file", "paragraph", "line"] | None,
    option("What is one record of plain text (file without it); of a Bible: book, chapter or verse (verse without it)."),
]
TokenizerOption = Annotated[str | None, option("Also count the tokens of this tokenizer.")]


@app.default
def show(
    source: Annotated[str, Parameter(help="A file, a folder, or kjv, web, kjv-web.")],
    /,
    *,
    format: Format = None,
    columns: Columns = None,
    unit: UnitOption = None,
    first: Annotated[int, option("How many records to show.", validator=at_least(0))] = 5,
    tokenizer: TokenizerOption = None,
    objective: Annotated[str | None, option("An instruction objective: show which tokens of the first records it trains.")] = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """What a corpus holds: its first records, fields and lengths."""
    if objective is not None and tokenizer is None:
        raise ConfigError("--objective shows tokens, and needs to know whose", hint="add --tokenizer smollm2, or the folder of the model")
    count = token_counter(tokenizer)
    shown: list[Record] = []
    measured: dict[str, list[int]] = {}
    fields: dict[str, int] = {}
    total = 0
    with progress(f"reading {source}", console=output.talk()) as advance:
        for record in read(named(source), format=format, columns=columns, unit=unit):
            if total < first:
                shown.append(record)
            total += 1
            if total % _PULSE == 0:
                advance(_PULSE)
            _measure(record, count, fields, measured)
    if not measured:
        raise DataError(f"{source!r}: no field of its {total:,} records holds text", details=[f"fields: {', '.join(fields)}"])
    table = lengths.table(measured)
    unit_of = "text, words" if "text, words" in measured else next(iter(measured))
    figure = lengths.figure(measured[unit_of], unit=unit_of)
    records = [{"place": record.place, **record.fields} for record in shown]
    title = f"{total:,} records in {source}, with the fields {', '.join(fields)}"
    rows = [{name: _shortened(value) for name, value in row.items()} for row in records]
    data: dict[str, Any] = {"source": source, "records": total, "fields": fields, "lengths": table.rows, "first": records}
    parts: list[Showable] = [*([Table(rows, title=title)] if rows else []), table, figure]
    if objective is not None and tokenizer is not None and shown:
        trained = _trained(tokenizer, shown, objective)
        data, parts = {**data, "trained": trained.data.rows}, [trained, *parts]
    output.emit(Result(data, parts=parts))


def named(source: str) -> str | Path:
    """A corpus by its name, anything else as a path."""
    return source if is_corpus(source) else Path(source)


def watching(items: Iterable[T], doing: str, output: Output) -> Generator[T]:
    """The items, with a bar that moves as they pass."""
    with progress(doing, console=output.talk()) as advance:
        for number, item in enumerate(items, start=1):
            if number % _PULSE == 0:
                advance(_PULSE)
            yield item


def _trained(tokenizer: str, records: list[Record], objective: str) -> TokenStrips:
    """The tokens of some records as the objective makes them, those that it trains filled."""
    from isinglass.text.load import tokenizer as load
    from isinglass.training.shown import shown

    return shown(load(tokenizer), records, objective)


def token_counter(tokenizer: str | None) -> Callable[[str], int] | None:
    """The function that counts tokens, or None without a tokenizer."""
    if tokenizer is None:
        return None
    from isinglass.text.load import tokenizer as load

    return load(tokenizer).count


def _measure(record: Record, count: Callable[[str], int] | None, fields: dict[str, int], measured: dict[str, list[int]]) -> None:
    for name, value in record.fields.items():
        fields[name] = fields.get(name, 0) + 1
        if isinstance(value, str) and name not in ("label", "place", "reference"):
            for unit, amount in _amounts(value, count):
                measured.setdefault(f"{name}, {unit}", []).append(amount)


def _amounts(text: str, count: Callable[[str], int] | None) -> Iterable[tuple[str, int]]:
    yield "words", len(text.split())
    yield "characters", len(text)
    if count is not None:
        yield "tokens", count(text)


def _shortened(value: Any) -> Any:
    return value[: _CELL - 1] + "…" if isinstance(value, str) and len(value) > _CELL else value
