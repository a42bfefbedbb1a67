"""`isinglass verify`: what others say, beside what is true."""

from __future__ import annotations

from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Names, option, verb
from isinglass.show.table import Table

EXAMPLES = (
    "isinglass verify claims",
    "isinglass verify claims --only tokens,positions",
    "isinglass verify claims --save claims.csv --quiet",
)
app = verb("verify", EXAMPLES, notes=["Every truth is computed in this run. The vocabularies come with: isinglass assets get"])


@app.command(name="claims")
def verify_claims(
    *,
    only: Annotated[Names, option("Comma-separated topics: arithmetic, attention, models, positions, tokens.")] = (),
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """The claims of the class notes that can be checked: claim, truth, verdict, and a command that shows it."""
    from isinglass.studies.claims.claim import checking

    rows = []
    for checked in checking(only):
        rows.append(checked.row())
        output.say(f"{checked.finding.verdict}: {checked.claim.says}")
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in ("true", "partly", "false")}
    title = f"{len(rows)} claims of the class notes: {counts['true']} true, {counts['partly']} partly, {counts['false']} false"
    output.emit(Result({"claims": rows, "counts": counts}, parts=[Table(rows, title=title)]))
