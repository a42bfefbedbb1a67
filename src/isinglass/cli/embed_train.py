"""`isinglass embed train`: word vectors learned from a text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Names, at_least, option, verb
from isinglass.core.errors import unknown

EXAMPLES = (
    'isinglass embed train kjv,web --method "glove(d=50)" --out words.safetensors',
    'isinglass embed train notes.txt --method "fasttext(epochs=3)" --min-count 2 --out words.safetensors',
    "isinglass embed train kjv --method \"word2vec(architecture='cbow', objective='hierarchical_softmax')\" --out words.txt",
)
NOTES = ["isinglass explain methods.word2vec tells the settings of each method. Ctrl-C keeps the vectors as they are."]
app = verb("train", EXAMPLES, notes=NOTES)
SUFFIXES = (".safetensors", ".txt")


@app.default
def embed_train(
    sources: Annotated[Names, option("Comma-separated: kjv, web, or files and folders of texts.")],
    /,
    *,
    out: Annotated[Path, option("The file of vectors: .safetensors, or .txt as word2vec writes it.")],
    method: Annotated[str, option("word2vec, glove or fasttext, with settings in brackets.")] = "word2vec",
    min_count: Annotated[int, option("Words that occur less often are left out.", validator=at_least(1))] = 5,
    seed: Annotated[int, option("Of everything random.")] = 0,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Learn word vectors from a text: word2vec, GloVe or FastText."""
    from isinglass.data.sources import is_corpus, read
    from isinglass.embedding.method import Progress
    from isinglass.embedding.word_training import training_words

    if out.suffix not in SUFFIXES:
        raise unknown("file format", out.suffix, SUFFIXES, where=f"--out {out}")
    # a paragraph of a plain text is taken as a sentence, a verse of a Bible is one
    records = (record for name in sources for record in read(name, unit=None if is_corpus(name) else "paragraph"))
    last, vectors = Progress(0, 0, 0.0, 0.0), None
    for event in training_words((record.text for record in records), method, min_count=min_count, seed=seed):
        if isinstance(event, Progress):
            last = event
            output.say(f"{event.words / event.total:6.1%}  loss {event.loss:.4f}  {event.words_per_second:,.0f} words/s")
        else:
            vectors = event.vectors
    assert vectors is not None  # the last event of every method
    path, (count, d) = vectors.save(out), vectors.vectors.shape
    data = {
        "file": str(path), "words": count, "d": d, "method": method,
        "loss": last.loss, "words_per_second": last.words_per_second,
    }  # fmt: skip
    text = f"{count:,} words with {d} numbers each: {path}\nisinglass embed words {path} --nearest king"
    output.emit(Result(data, text=text))
