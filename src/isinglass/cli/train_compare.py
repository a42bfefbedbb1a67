"""`isinglass train compare`: several runs in one figure and one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import option, verb

EXAMPLES = (
    "isinglass train compare runs/first runs/rotary",
    "isinglass train compare runs/small runs/large --by seconds --save sizes.svg",
    "isinglass train compare runs/search/*/ --by tokens --save search.html",
)
app = verb(
    "compare",
    EXAMPLES,
    notes=["Where vocabularies differ, the curves are bits per byte: losses per token of one say nothing about those of another."],
)


@app.default
def compare(
    *runs: Annotated[Path, Parameter(help="Folders of runs, finished or not.")],
    by: Annotated[Literal["steps", "tokens", "seconds"], option("What the curves stand over: steps, tokens or seconds.")] = "steps",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Curves of several runs, and in what their settings differ."""
    with output.working("reading"):
        from isinglass.training.compare import compare as compared

        found = compared(runs, by=by)
    data = {"measure": found.measure, "by": by, "runs": found.table.rows, "notes": found.table.notes}
    output.emit(Result(data, parts=[found.table, found.figure]))
