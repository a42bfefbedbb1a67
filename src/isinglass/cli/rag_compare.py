"""`isinglass rag compare`: the same questions without and with retrieval."""

from __future__ import annotations

import shlex
from typing import Annotated

from isinglass.cli.embed import Texts
from isinglass.cli.output import Output, Result
from isinglass.cli.rag import EndpointUrl, Fits, Key, Place, Timeout, answerer, options
from isinglass.cli.verb import option, verb
from isinglass.core.errors import ConfigError

EXAMPLES = ('isinglass rag compare runs/tidewell "What does the Gull cost?" "Who founded Tidewell?"',)
app = verb("compare", EXAMPLES)


@app.default
def rag_compare(
    place: Place,
    /,
    *questions: Texts,
    by: Annotated[str, option("A chat model, or its name at --endpoint.")] = "smollm2",
    endpoint: EndpointUrl = None,
    key: Key = "OPENAI_API_KEY",
    timeout: Timeout = 30.0,
    fits: Fits = 0.52,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """What a model says by itself, and what it says from the passages that are found."""
    if not questions:
        raise ConfigError("no question was given", hint=EXAMPLES[0])
    with output.working("answering"):
        from isinglass.retrieval.compare import side_by_side
        from isinglass.retrieval.index import open_index

        index = open_index(place)
        who = answerer(index, by, endpoint, key, timeout)
        command = f"isinglass rag compare {shlex.join([place, *questions])}{options(by, endpoint, fits)}"
        found = side_by_side(index, questions, who, fits=fits, command=command)
    output.emit(Result.of(found))
