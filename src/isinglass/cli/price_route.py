"""`isinglass price route`: how many questions a small model could get."""

from __future__ import annotations

from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import option, verb

EXAMPLES = ("isinglass price route", "isinglass price route --to groq/gpt-oss-20b --most-wrong 0.02")
app = verb("route", EXAMPLES, notes=["Measured on the project's own labelled questions; the result's last line fits a workload."])


@app.default
def price_route(
    *,
    to: Annotated[str, option("The model that gets the simple questions.")] = "gpt-4o-mini",
    most_wrong: Annotated[float, option("Share of the routed questions that may be hard.")] = 0.05,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """How many questions a small classifier sends to a smaller model, and how many of them wrongly."""
    from isinglass.studies.support.questions import labelled
    from isinglass.studies.support.routing import routing_study

    command = f"isinglass price route --to {to} --most-wrong {most_wrong:g}"
    with output.working("training the classifier"):
        found = routing_study(labelled(), to=to, most_wrong=most_wrong, command=command)
    output.emit(Result.of(found))
