"""`isinglass task summarize`: a long text in a few sentences."""

from __future__ import annotations

from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.task import typed
from isinglass.cli.texts import File, OptionalText, one_text
from isinglass.cli.verb import option, verb

EXAMPLES = (
    "isinglass task summarize --file report.txt --sentences 2",
    "isinglass task summarize --file report.txt --model smollm2",
)
app = verb("summarize", EXAMPLES, notes=["minilm takes sentences of the text; a chat model writes, and may say what the text does not."])


@app.default
def task_summarize(
    text: OptionalText = None,
    /,
    *,
    file: File = None,
    model: Annotated[str, option("minilm, a chat model such as smollm2, or an encoder-decoder trained for it.", "--model")] = "minilm",
    sentences: Annotated[int, option("How many sentences, about.")] = 2,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """What a text says, in a few sentences."""
    given = one_text(text, file)
    words = [] if file else [given]
    command = typed("summarize", *words, file=file, model=model if model != "minilm" else None, sentences=sentences)
    with output.working(f"reading with {model}"):
        from isinglass.generation.lm import load
        from isinglass.tasks.summarize import summarize

        found = summarize(load(model), given, n_sentences=sentences, command=command)
    output.emit(Result.of(found))
