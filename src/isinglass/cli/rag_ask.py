"""`isinglass rag ask`: an answer from an index, with its sources."""

from __future__ import annotations

import shlex
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.rag import By, EndpointUrl, Fits, Key, Place, Timeout, answerer, options
from isinglass.cli.verb import at_least, option, verb

EXAMPLES = (
    'isinglass rag ask runs/tidewell "How long is the warranty on the heating element?"',
    'isinglass rag ask runs/tidewell "Who makes the teapots?" --by smollm2 --save answer.html',
    'isinglass rag ask runs/tidewell "May I bring my dog?" --by llama-3.1-8b --endpoint http://localhost:8000/v1',
)
app = verb("ask", EXAMPLES, notes=["A key is read from the environment, and neither stored nor shown."])


@app.default
def rag_ask(
    place: Place,
    question: Annotated[str, option("The question, in quotes.")],
    /,
    *,
    by: By = "extract",
    endpoint: EndpointUrl = None,
    key: Key = "OPENAI_API_KEY",
    timeout: Timeout = 30.0,
    n: Annotated[int, option("Passages that are given to the model.", "--passages", validator=at_least(1))] = 3,
    fits: Fits = 0.52,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """An answer from an index, with citations that are checked, or a refusal where nothing fits."""
    with output.working("searching"):
        from isinglass.retrieval.ask import ask
        from isinglass.retrieval.index import open_index

        index = open_index(place)
        who = answerer(index, by, endpoint, key, timeout)
        command = f"isinglass rag ask {shlex.quote(place)} {shlex.quote(question)}{options(by, endpoint, fits)}"
        found = ask(index, question, who, n=n, fits=fits, command=command)
    output.emit(Result.of(found))
    if found.fault is not None:
        raise found.fault
