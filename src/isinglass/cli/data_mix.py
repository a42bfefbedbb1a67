"""`isinglass data mix`: several corpora as one, each with its share of the tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from isinglass.cli.data_show import Columns, Format, UnitOption, named, token_counter, watching
from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Numbers, at_least, option, verb
from isinglass.core.errors import ConfigError
from isinglass.data import jsonl
from isinglass.data.mix import Mixed, mix, realised
from isinglass.data.records import Record
from isinglass.data.sources import read

EXAMPLES = (
    "isinglass data mix kjv web --weights 0.7,0.3 --tokens 200000 --out mixed.jsonl",
    "isinglass data mix large.jsonl small.jsonl --weights 3,1 --tokens 1000000 --at-end repeat --tokenizer gpt2 --out mixed.jsonl",
)
app = verb(
    "mix",
    EXAMPLES,
    notes=[
        "Weights are shares of tokens, so that a source of long texts does not drown the others; they are divided by their sum.",
        "Each record of the file says its source and the place it came from.",
    ],
)


@app.default
def mix_(
    *sources: Annotated[str, Parameter(help="Files, folders, or kjv, web, kjv-web.")],
    out: Annotated[Path, option("The file to write, .jsonl.")],
    weights: Annotated[Numbers, option("Comma-separated, one for each source; without it all are equal.")] = (),
    tokens: Annotated[int | None, option("End at so many tokens; without it, when a source is used up.", validator=at_least(1))] = None,
    at_end: Annotated[Literal["stop", "repeat"], option("When a source is used up: stop, or begin it anew in another order.")] = "stop",
    tokenizer: Annotated[str, option("Whose tokens are counted.")] = "gpt2",
    seed: Annotated[int, option("Each source is shuffled by it.")] = 0,
    field: Annotated[str, option("The field that holds the text.")] = "text",
    format: Format = None,
    columns: Columns = None,
    unit: UnitOption = None,
    overwrite: Annotated[bool, option("Replace a file that is there.")] = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Mix several corpora into one, each with its share of the tokens."""
    shares = _shares(sources, weights)
    jsonl.check(out, overwrite=overwrite)
    count = token_counter(tokenizer)
    assert count is not None  # a tokenizer was named
    records = {source: list(read(named(source), format=format, columns=columns, unit=unit)) for source in sources}
    taken: list[Mixed] = []
    mixture = mix(records, shares, count=count, tokens=tokens, seed=seed, text_field=field, at_end=at_end)
    with closing(watching(mixture, "mixing", output)) as watched:
        n_records = jsonl.write(_records(watched, taken), out)
    table = realised(taken, shares)
    output.say(f"{n_records:,} records in {out}: isinglass data show {out}")
    n_tokens = sum(one.n_tokens for one in taken)
    output.emit(Result({"path": str(out), "records": n_records, "tokens": n_tokens, "sources": table.rows}, parts=[table]))


def _records(mixture: Iterable[Mixed], taken: list[Mixed]) -> Iterator[Record]:
    """The records with the source each is from; what passes is remembered for the table."""
    for mixed in mixture:
        taken.append(mixed)
        yield Record({"source": mixed.source, **mixed.record.fields}, mixed.record.place)


def _shares(sources: Sequence[str], weights: Sequence[float]) -> dict[str, float]:
    if len(sources) < 2 or len(set(sources)) < len(sources):
        raise ConfigError(f"sources {', '.join(sources) or 'none'}: expected at least two different ones", hint=EXAMPLES[0])
    if weights and len(weights) != len(sources):
        raise ConfigError(f"--weights: {len(weights)} for {len(sources)} sources, expected one for each", hint=EXAMPLES[0])
    return dict(zip(sources, weights or [1.0] * len(sources), strict=True))
