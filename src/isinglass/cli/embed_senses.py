"""`isinglass embed senses`: a word in two senses, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from isinglass.cli.embed import EmbeddingModel
from isinglass.cli.output import Output, Result
from isinglass.cli.verb import option, verb

EXAMPLES = (
    "isinglass embed senses bank",
    "isinglass embed senses apple --model smollm2",
    "isinglass embed senses spring --file senses.toml",
)
app = verb("senses", EXAMPLES, notes=['A file has a table for each sense: [season] sentences = ["In spring ...", "..."]'])


@app.default
def embed_senses(
    word: Annotated[str, option("The word; bank and apple have sentences of the project's own.")],
    /,
    *,
    file: Annotated[Path | None, option("Sentences of your own, in TOML.")] = None,
    model: EmbeddingModel = "minilm",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """How alike a word's vector is to itself in the same and in the other sense, layer by layer."""
    import shlex

    from isinglass.embedding.collections import senses

    sentences = senses(word, file)
    command = f"isinglass embed senses {shlex.quote(word)}" + (f" --file {shlex.quote(str(file))}" if file else "")
    with output.working(f"loading {model}"):
        from isinglass.embedding.senses import senses_of
        from isinglass.generation.lm import load

        found = senses_of(load(model), word, sentences, command=command + (f" --model {model}" if model != "minilm" else ""))
    output.emit(Result.of(found))
