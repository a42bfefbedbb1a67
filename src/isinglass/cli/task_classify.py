"""`isinglass task classify`: which label a text has."""

from __future__ import annotations

from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.task import Texts, typed
from isinglass.cli.verb import option, verb
from isinglass.core.errors import ConfigError

EXAMPLES = (
    'isinglass task classify "The goalkeeper saved a penalty." --labels sports,food,weather',
    'isinglass task classify "A small film with a big heart." --model runs/sentiment',
)
app = verb("classify", EXAMPLES, notes=["A model of sentiment: isinglass train examples/sentiment.toml --out runs/sentiment"])


@app.default
def task_classify(
    *texts: Texts,
    labels: Annotated[
        str | None, option("Names of labels, separated by commas: no training is needed. Without it, those of the model.")
    ] = None,
    model: Annotated[str, option("A folder with a trained classifier; with --labels any model that makes vectors.", "--model")] = "minilm",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Which label each text has, and the score of every label."""
    if not texts:
        raise ConfigError("no text was given", hint='isinglass task classify "A text." --labels sports,food')
    named = None if labels is None else [name.strip() for name in labels.split(",") if name.strip()]
    command = typed("classify", *texts, labels=labels, model=model if model != "minilm" else None)
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.tasks.classify import classify

        found = classify(load(model), texts, labels=named, command=command)
    output.emit(Result.of(found))
