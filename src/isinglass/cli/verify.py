"""`isinglass verify`: what others say, beside what is true."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Names, option, verb
from isinglass.show.table import Table

EXAMPLES = (
    "isinglass verify claims",
    "isinglass verify claims --only tokens,positions",
    "isinglass verify claims --save claims.csv --quiet",
    "isinglass verify book --only attention,sampling",
    "isinglass verify book --data FOLDER",
)
app = verb("verify", EXAMPLES, notes=["Every truth is computed in this run. The vocabularies come with: isinglass assets get"])
app.command("isinglass.cli.verify_class:app", name="class", help="Your attention, LayerNorm, GELU, block or GPT beside ours.")


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


@app.command(name="book")
def verify_book(
    *,
    only: Annotated[Names, option("Comma-separated topics: architecture, attention, cache, sampling, text, tuning, untrained.")] = (),
    data: Annotated[
        Path | None, option("Folder with your copies of the-verdict.txt, sms_spam.tsv (label, text) and instruction-data.json.")
    ] = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """The numbers published with "Build a Large Language Model (From Scratch)" that need no weights: theirs beside ours, and why."""
    from isinglass.studies.book_numbers.number import checking

    rows = []
    for checked in checking(only, data):
        rows.append(checked.row())
        output.say(f"{checked.verdict}: {checked.number.what}")
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in ("equal", "differs", "needs data")}
    title = f"{len(rows)} numbers of the book: {', '.join(f'{n} {verdict}' for verdict, n in counts.items() if n)}"
    output.emit(Result({"numbers": rows, "counts": counts}, parts=[Table(rows, title=title)]))
