"""`isinglass price cache`: how many questions a response cache would answer."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Numbers, at_least, option, verb
from isinglass.core.errors import unknown

EXAMPLES = (
    "isinglass price cache --requests 1000",
    "isinglass price cache --requests 500 --vectors minilm",
    "isinglass price cache --file questions.txt --thresholds 0.9,0.8",
)
NOTES = [
    "Without --file, a stream is drawn from the project's own support questions: a model of users, not users.",
    "The last note under the table fits a workload's savings.",
]
app = verb("cache", EXAMPLES, notes=NOTES)


@app.default
def price_cache(
    *,
    file: Annotated[Path | None, option("Your own questions, one on each line, in the order in which they came.")] = None,
    requests: Annotated[int, option("Questions that are drawn.", validator=at_least(1))] = 2000,
    skew: Annotated[
        float, option("How unevenly: the r-th most frequent question has a chance of 1 / r**skew.", validator=at_least(0))
    ] = 1.0,
    typing_errors: Annotated[float, option("Share of the drawn questions with a typing error.")] = 0.1,
    vectors: Annotated[str, option("What meaning is compared by: tfidf (letters), or minilm (a model; slower).")] = "tfidf",
    thresholds: Annotated[Numbers, option("Comma-separated cosines from which on two questions are one.")] = (
        0.95,
        0.9,
        0.85,
        0.8,
        0.75,
        0.7,
        0.65,
        0.6,
    ),
    seed: Annotated[int, option("Of the draw.")] = 0,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """How many questions a response cache would answer, by text and by meaning, and how many of them wrongly."""
    from isinglass.studies.support.caching import cache_study
    from isinglass.studies.support.questions import read_stream, stream

    given = (
        f"--file {shlex.quote(str(file))}"
        if file
        else f"--requests {requests} --skew {skew:g} --typing-errors {typing_errors:g} --seed {seed}"
    )
    command = f"isinglass price cache {given} --vectors {vectors}"
    queries = read_stream(file) if file else stream(requests, skew=skew, typing_errors=typing_errors, seed=seed)
    with output.working(f"{len(queries):,} questions"):
        found = cache_study(queries, _vectors(vectors), thresholds=thresholds, command=command)
    output.emit(Result.of(found))


def _vectors(name: str) -> Any:
    if name == "tfidf":
        from isinglass.studies.support.caching import tfidf

        return tfidf
    if name != "minilm":
        raise unknown("vectors", name, ["tfidf", "minilm"])
    from isinglass.embedding.contextual import embed
    from isinglass.generation.lm import load

    lm = load("minilm")
    return lambda texts: embed(lm, texts).vectors
