"""`isinglass rag`: ask your documents; the parts of the verb stand in files of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from isinglass.cli.verb import at_least, option, verb
from isinglass.core.errors import ConfigError

if TYPE_CHECKING:
    from isinglass.retrieval.answerer import Answerer
    from isinglass.retrieval.index import Index

EXAMPLES = (
    "isinglass rag index --out runs/tidewell",
    "isinglass rag index notes/ --out runs/notes",
    'isinglass rag ask runs/tidewell "How long is the warranty on the heating element?"',
    'isinglass rag compare runs/tidewell "What does the Gull cost?" --by smollm2',
    "isinglass rag evaluate runs/tidewell",
)
app = verb("rag", EXAMPLES, notes=["The package's extra is needed: pip install 'isinglass[rag]'   (and [remote] for endpoints)"])
app.command("isinglass.cli.rag_index:app", name="index", help="Cut documents into passages and index them by meaning and by words.")
app.command("isinglass.cli.rag_ask:app", name="ask", help="An answer from an index, with its sources.")
app.command("isinglass.cli.rag_compare:app", name="compare", help="The same question without and with retrieval.")
app.command("isinglass.cli.rag_evaluate:app", name="evaluate", help="How good finding and answering are, on known questions.")

Place = Annotated[str, option("The index: a folder, or a URL of object storage.")]
By = Annotated[
    str, option("Who answers: extract (the best sentence itself), a chat model such as smollm2, or a model's name at --endpoint.")
]
EndpointUrl = Annotated[
    str | None, option("The URL of an endpoint that speaks OpenAI's protocol, such as http://localhost:8000/v1.", "--endpoint")
]
Key = Annotated[str, option("The environment variable that holds the endpoint's key.", "--key")]
Timeout = Annotated[float, option("Seconds to wait for the endpoint.", validator=at_least(0.1))]
Fits = Annotated[float, option("Refuse where the best passage fits less than this (0 to 1); 0 never refuses.", "--fits")]


def answerer(index: Index, by: str, endpoint: str | None, key: str, timeout: float) -> Answerer:
    """Who answers, as the options say. Raises ConfigError."""
    from isinglass.retrieval.answerer import Endpoint, Extract, Local

    if endpoint is not None:
        if by == "extract":
            raise ConfigError("--endpoint needs a model's name", hint="--by llama-3.1-8b")
        return Endpoint(endpoint, by, key, timeout)
    if by == "extract":
        return Extract(index.lm)
    from isinglass.generation.lm import load

    return Local(load(by))


def options(by: str, endpoint: str | None, fits: float) -> str:
    """The options that differ from their defaults, as they would be typed again."""
    from isinglass.retrieval.ask import FITS

    given = (f" --by {by}" if by != "extract" else "") + (f" --endpoint {endpoint}" if endpoint else "")
    return given + (f" --fits {fits:g}" if fits != FITS else "")
