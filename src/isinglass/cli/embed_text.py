"""`isinglass embed text`: the vectors of texts."""

from __future__ import annotations

from isinglass.cli.embed import EmbeddingModel, Layer, Lines, Pooling, Texts, described, given_texts
from isinglass.cli.output import Output, Result
from isinglass.cli.verb import verb
from isinglass.core.errors import ConfigError

EXAMPLES = (
    'isinglass embed text "A cat sleeps." --json',
    "isinglass embed text --file lines.txt --model smollm2 --pooling last --save vectors.json",
)
app = verb("text", EXAMPLES, notes=["Vectors have length 1: their product is the cosine."])


@app.default
def embed_text(
    *texts: Texts,
    file: Lines = None,
    model: EmbeddingModel = "minilm",
    pooling: Pooling = None,
    layer: Layer = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """The vectors of texts."""
    given = given_texts(texts, file)
    if given is None:
        raise ConfigError("no text was given", hint='isinglass embed text "A cat sleeps."')
    with output.working(f"loading {model}"):
        from isinglass.embedding.contextual import embed
        from isinglass.generation.lm import load

        found = embed(load(model), given.texts, pooling=pooling, layer=layer)
    data = {"command": described("text", given, file, model, pooling, layer), "model": model, **found.data}
    output.emit(Result(data, found.parts))
