"""`isinglass data prepare`: sources through steps into a folder of shards, with what was dropped and why."""

from __future__ import annotations

import time
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from isinglass.cli.data_show import Columns, Format, TokenizerOption, UnitOption, named, token_counter, watching
from isinglass.cli.output import Output, Result
from isinglass.cli.verb import at_least, option, verb
from isinglass.core.errors import ConfigError
from isinglass.core.runtime import cores
from isinglass.core.units import duration
from isinglass.data.card import Tally
from isinglass.data.folder import check, write
from isinglass.data.prepare import DEFAULT, prepare, read_steps
from isinglass.data.sources import read

EXAMPLES = (
    "isinglass data prepare kjv web --out prepared",
    "isinglass data prepare corpus --steps \"clean, near_duplicates(threshold=0.8), quality(rules='gopher')\" --out prepared",
    "isinglass data prepare corpus.jsonl --steps recipe.toml --out prepared --tokenizer gpt2",
)
app = verb(
    "prepare",
    EXAMPLES,
    notes=[
        "Steps and their settings: isinglass explain steps",
        "The folder gets part-00000.jsonl and so on, dropped.jsonl with reasons, and card.md.",
    ],
)


@app.default
def prepare_(
    *sources: Annotated[str, Parameter(help="Files, folders, or kjv, web, kjv-web.")],
    out: Annotated[Path, option("The folder to write.")],
    steps: Annotated[str, option("Steps in order, or a TOML file with steps = [...] or [[steps]].")] = ", ".join(DEFAULT),
    field: Annotated[str, option("The field that holds the text.")] = "text",
    format: Format = None,
    columns: Columns = None,
    unit: UnitOption = None,
    tokenizer: TokenizerOption = None,
    processes: Annotated[
        int | None, option("Processes for steps that see one text; all cores without it.", validator=at_least(1), show_default=False)
    ] = None,
    shard: Annotated[int, option("Records in a file.", validator=at_least(1))] = 100_000,
    overwrite: Annotated[bool, option("Replace a prepared corpus that is in the folder.")] = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Clean a corpus, drop what should not be learned, and say why."""
    if not sources:
        raise ConfigError("name a source: a file, a folder, or a corpus", hint=EXAMPLES[0])
    check(out, overwrite=overwrite)
    listed = read_steps(steps)
    began = time.perf_counter()
    tally = Tally(field, token_counter(tokenizer))
    records = chain.from_iterable(read(named(source), format=format, columns=columns, unit=unit) for source in sources)
    outcomes = prepare(records, listed, field=field, processes=processes or cores())
    with closing(watching(outcomes, "preparing", output)) as watched:
        written = write(watched, out, tally=tally, steps=listed, shard_records=shard, overwrite=overwrite)
    card, seconds = written.card, time.perf_counter() - began
    output.say(f"{card.n_kept:,} of {card.n_records:,} records kept in {duration(seconds)}: isinglass data show {out}")
    data = {
        "path": str(written.folder), "shards": list(written.shards), "steps": list(card.steps), "records": card.n_records,
        "kept": card.n_kept, "dropped": dict(tally.reasons), "changed": dict(tally.changes), "languages": dict(tally.languages),
        "sources": {source: dict(counts) for source, counts in tally.sources.items()}, "seconds": seconds,
    }  # fmt: skip
    output.emit(Result(data, parts=card.parts))
