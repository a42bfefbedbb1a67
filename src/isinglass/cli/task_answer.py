"""`isinglass task answer`: the words of a passage that answer a question."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.task import typed
from isinglass.cli.texts import File, OptionalText, one_text
from isinglass.cli.verb import option, verb

EXAMPLES = (
    'isinglass task answer "When was the bridge built?" "The bridge was built in 1901 by a firm from Leeds."',
    'isinglass task answer "How long is the warranty?" --file warranty.md --top 1 --json',
)
app = verb("answer", EXAMPLES, notes=["Which of many documents has the answer: isinglass rag"])


@app.default
def task_answer(
    question: Annotated[str, Parameter(help="The question.")],
    passage: OptionalText = None,
    /,
    *,
    file: File = None,
    model: Annotated[str, option("A chat model, or a BERT that was trained on questions.", "--model")] = "smollm2",
    top: Annotated[int, option("How many answers.")] = 3,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """The words of a passage that answer a question: nothing can be answered that does not stand there."""
    text = one_text(passage, file)
    words = [question] if file else [question, text]
    command = typed("answer", *words, file=file, model=model if model != "smollm2" else None)
    with output.working(f"reading with {model}"):
        from isinglass.generation.lm import load
        from isinglass.tasks.answer import answer

        found = answer(load(model), question, text, finder=load("minilm"), top=top, command=command)
    output.emit(Result.of(found))
