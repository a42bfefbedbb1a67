"""`isinglass embed`: texts and words as vectors; the parts of the verb stand in files of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from isinglass.cli.texts import refuse_path
from isinglass.cli.verb import option, verb
from isinglass.core.errors import ConfigError

if TYPE_CHECKING:
    from isinglass.embedding.collections import Labelled

EXAMPLES = (
    'isinglass embed compare "A cat sleeps." "A kitten naps." "Stocks fell."',
    "isinglass embed map --save map.html",
    "isinglass embed senses bank",
    'isinglass embed text "A cat sleeps." --json',
    'isinglass embed train kjv,web --method "glove(d=50)" --out words.safetensors',
    'isinglass embed words words.safetensors --analogy "king - man + woman"',
)
app = verb("embed", EXAMPLES, notes=["Any model makes vectors; minilm was trained for it."])
app.command("isinglass.cli.embed_text:app", name="text", help="The vectors of texts.")
app.command("isinglass.cli.embed_compare:app", name="compare", help="How alike texts are.")
app.command("isinglass.cli.embed_map:app", name="map", help="Texts in a plane, and their groups.")
app.command("isinglass.cli.embed_senses:app", name="senses", help="A word in two senses, layer by layer.")
app.command("isinglass.cli.embed_train:app", name="train", help="Word vectors learned from a text: word2vec, GloVe, FastText.")
app.command("isinglass.cli.embed_words:app", name="words", help="What word vectors say: nearest words, sums, cosines.")

EmbeddingModel = Annotated[str, option("What makes the vectors: an asset, a folder or a .gguf file.", "--model")]
Pooling = Annotated[str | None, option("cls, mean, max or last; without it, what the model was trained with, else mean.")]
Layer = Annotated[int | None, option("0 is the embedding, k the stream after block k; without it, the model's output.")]
Texts = Annotated[str, Parameter(help="Texts, each in quotes.")]
Lines = Annotated[Path | None, option("A file in place of TEXTS: a text on each line; .csv, .tsv or .jsonl with text and label.", "--file")]


def given_texts(texts: tuple[str, ...], file: Path | None) -> Labelled | None:
    """Texts as arguments or of a file, with their labels ("" where there are none). None where neither is given.

    Raises ConfigError for both, DataError for a file that cannot be read.
    """
    from isinglass.data.sources import read
    from isinglass.embedding.collections import Labelled

    if texts and file is not None:
        raise ConfigError("give either TEXTS or --file, not both")
    if file is None:
        for text in texts:
            refuse_path(text)
        return Labelled(texts, ("",) * len(texts)) if texts else None
    unit = "line" if file.suffix.lower() == ".txt" else None
    records = [record for record in read(file, unit=unit) if record.text.strip()]
    return Labelled(tuple(record.text for record in records), tuple(str(record.fields.get("label", "")) for record in records))


def labels_of(given: Labelled) -> tuple[str, ...] | None:
    """The labels, where every text has one."""
    return given.labels if all(given.labels) else None


def described(verb: str, given: Labelled, file: Path | None, model: str, pooling: str | None, layer: int | None) -> str:
    """The command that was given, as it would be typed again."""
    import shlex

    words = ["isinglass", "embed", verb, *((["--file", str(file)]) if file else given.texts)]
    words += ["--model", model] if model != "minilm" else []
    words += ["--pooling", pooling] if pooling else []
    return shlex.join([*words, *(["--layer", str(layer)] if layer is not None else [])])
