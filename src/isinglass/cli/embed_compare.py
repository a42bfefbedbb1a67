"""`isinglass embed compare`: how alike texts are."""

from __future__ import annotations

from typing import Annotated

from isinglass.cli.embed import EmbeddingModel, Layer, Lines, Pooling, Texts, described, given_texts
from isinglass.cli.output import Output, Result
from isinglass.cli.verb import at_least, option, verb
from isinglass.core.errors import ConfigError

EXAMPLES = (
    'isinglass embed compare "A cat sleeps." "A kitten naps." "Stocks fell."',
    "isinglass embed compare --file lines.txt --pairs 3 --save alike.html",
    'isinglass embed compare --file lines.txt --query "something warm to eat" --pairs 2',
)
app = verb("compare", EXAMPLES, notes=["--query finds what is nearest to it: a search, or a recommendation."])


@app.default
def embed_compare(
    *texts: Texts,
    file: Lines = None,
    query: Annotated[str | None, option("Find the texts nearest to this one.")] = None,
    pairs: Annotated[int, option("How many pairs, or nearest texts, are shown.", validator=at_least(1))] = 5,
    model: EmbeddingModel = "minilm",
    pooling: Pooling = None,
    layer: Layer = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """The cosine of each pair of texts, and the most and least similar pairs; or the nearest to a query."""
    import shlex

    given = given_texts(texts, file)
    if given is None:
        raise ConfigError("no texts were given", hint=EXAMPLES[0])
    command = described("compare", given, file, model, pooling, layer)
    with output.working(f"loading {model}"):
        from isinglass.embedding.contextual import embed
        from isinglass.generation.lm import load

        lm = load(model)
        found = embed(lm, given.texts, pooling=pooling, layer=layer)
        asked = None if query is None else embed(lm, [query], pooling=pooling, layer=layer)
    if asked is not None:
        n = min(pairs, sum(text != query for text in given.texts))
        output.emit(Result.of(found.nearest(asked, n, command=f"{command} --query {shlex.quote(query or '')}")))
        return
    alike, ends = found.similarity(command=command), found.pairs(pairs, command=command)
    output.emit(Result({**alike.data, "pairs": ends.data}, [*alike.parts, *ends.parts]))
