"""`isinglass bench inspect`: looking inside, beside the plain way of doing the same."""

from __future__ import annotations

from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Dtype, Model, Names, at_least, option, verb
from isinglass.show.table import Table

EXAMPLES = (
    "isinglass bench inspect trace",
    "isinglass bench inspect patching",
    "isinglass bench inspect patching smollm2 --what resid_pre,attention.z --sample 0 --rounds 1 --json",
)
app = verb("inspect", EXAMPLES, notes=["Both ways run in the same process, in turn: quote the ratios."])


@app.command(name="patching")
def bench_patching(
    model: Model = "smollm2",
    /,
    *,
    what: Annotated[Names, option("What is patched, comma-separated.")] = ("resid_pre", "attention.z"),
    sample: Annotated[int, option("Cells run one by one in each round, drawn by chance; 0 runs all.", validator=at_least(0))] = 40,
    rounds: Annotated[int, option("How often each is measured, in turn.", validator=at_least(1))] = 3,
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """All cells of a patching map together, and one whole pass for each."""
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.inspection.patching_speed import compare_patching

        lm = load(model, dtype=dtype)
    rows = []
    for name in what:
        for one in compare_patching(lm, name, sample=sample or None, rounds=rounds):
            rows.append(one.row())
            output.say("{what}: {times faster:.1f} times faster, off by {off by:.1e} at most".format(**rows[-1]))
    notes = [
        "one by one: a whole pass with one edit for each cell; its time is scaled from the cells that were run to all",
        "off by: the largest difference of a cell, where 0 is the corrupted and 1 the clean run",
    ]
    shown = ["what", "map", "together_seconds", "one_by_one_seconds", "times faster", "off by"]
    table = Table(rows, title="Patching maps", columns=shown, notes=notes)
    output.emit(Result({"model": model, "dtype": dtype, "rounds": rows}, parts=[table]))


@app.command(name="trace")
def bench_trace(
    model: Model = "smollm2",
    /,
    *,
    tokens: Annotated[int, option("Length of the text.", validator=at_least(2))] = 256,
    rounds: Annotated[int, option("How often each is measured, in turn.", validator=at_least(1))] = 5,
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """A pass that keeps everything, beside passes that keep nothing; and the operators that are dispatched."""
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.inspection.reading import reading
        from isinglass.inspection.tracing_speed import time_tracing

        lm = load(model, dtype=dtype)
    words = lm.encode("one two three four five six seven eight nine ten ")
    given = reading(lm, (words * (tokens // len(words) + 1))[:tokens])
    *_, last = time_tracing(given, rounds)
    notes = [f"{tokens} tokens; everything is {last.kept_bytes / 1e6:,.0f} MB", "beside the reference: median over rounds, in turn"]
    table = Table(last.rows(), title=f"Tracing {model}", units={"median_seconds": "seconds"}, notes=notes)
    output.emit(Result({"model": model, "n_tokens": tokens, "kept_bytes": last.kept_bytes, "passes": last.rows()}, parts=[table]))
