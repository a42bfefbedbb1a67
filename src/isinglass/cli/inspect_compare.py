"""`isinglass inspect compare`: two models on one text, their vocabularies aligned."""

from __future__ import annotations

import shlex
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import Text, read_text
from isinglass.cli.verb import Dtype, Model, at_least, option, verb

EXAMPLES = (
    'isinglass inspect compare smollm2 runs/first "The capital of France is"',
    'isinglass inspect compare smollm2 minilm "The capital of France is" --save both.html',
    'isinglass inspect compare smollm2 smollm2 "Once upon a time" --json',
)
app = verb(
    "compare", EXAMPLES, notes=["Numbers are compared where both models have read the same text: at token boundaries common to both."]
)


@app.default
def compare(
    a: Model,
    b: Model,
    text: Text,
    /,
    *,
    top: Annotated[int, option("How many next tokens of each to show.", validator=at_least(1))] = 10,
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Two models beside each other: tokens, surprisal, predictions, attention, hidden states."""
    prompt = read_text(text)
    with output.working(f"loading {a} and {b}"):
        from isinglass.generation.lm import load
        from isinglass.inspection.compare import compare as compared

        one = load(a, dtype=dtype)
        other = one if a == b else load(b, dtype=dtype)
    command = f"isinglass inspect compare {shlex.quote(a)} {shlex.quote(b)} {shlex.quote(prompt)}" + (f" --top {top}" if top != 10 else "")
    with output.working("both read the text"):
        found = Result.of(compared(one, other, prompt, names=(a, b), top=top, command=command))
    output.emit(found)
