"""`isinglass task evaluate`: how good each task is, beside a baseline."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import option, verb
from isinglass.core.config import with_overrides

EXAMPLES = (
    "isinglass task evaluate",
    "isinglass task evaluate topic summarize",
    "isinglass task evaluate translate --with translate=runs/translate",
)
NOTES = [
    "Without names, every task whose model is here: topic, answer, summarize and complete need no training.",
    "sentiment, fill-mask and translate are measured on what their training held out.",
]
app = verb("evaluate", EXAMPLES, notes=NOTES)


@app.default
def task_evaluate(
    *tasks: Annotated[str, Parameter(help="topic, sentiment, fill-mask, answer, summarize, translate, complete.")],
    with_: Annotated[tuple[str, ...], option("Where the model of a task is: task=folder. May be repeated.", "--with")] = (),
    limit: Annotated[int, option("Examples of each task, at most.")] = 200,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """How good each task is, beside what needs no model."""
    models = {name: str(value) for name, value in with_overrides({}, with_).items()}
    with output.working("reading the data"):
        from isinglass.studies.task_quality import evaluate

    output.emit(Result.of(evaluate(tasks, models, limit=limit, tell=output.say)))
