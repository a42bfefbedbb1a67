"""`isinglass predict`: the distribution over the next token."""

from __future__ import annotations

import shlex
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import Text, read_text
from isinglass.cli.verb import Dtype, Model, Numbers, at_least, option, verb

EXAMPLES = (
    'isinglass predict smollm2 "The capital of France is" --top 10 --temperatures 0.1,1,2',
    'isinglass predict smollm2 "2 + 2 =" --top 3 --json',
    'isinglass predict smollm2 "Once upon a time" --save next.png',
)
app = verb("predict", EXAMPLES, notes=["Probabilities are over the whole vocabulary, not over the tokens shown. Temperature 0 is greedy."])


@app.default
def predict(
    model: Model,
    text: Text,
    /,
    *,
    top: Annotated[int, option("How many tokens to show.", validator=at_least(1))] = 10,
    temperatures: Annotated[Numbers, option("Comma-separated.", validator=at_least(0))] = (1.0,),
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """What a model expects next, at several temperatures."""
    prompt = read_text(text)
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.inspection.reading import token_text
        from isinglass.inspection.trace import trace

        lm = load(model, dtype=dtype)
    seen = trace(lm, prompt)
    given = ",".join(f"{temperature:g}" for temperature in temperatures)
    command = f"isinglass predict {shlex.quote(model)} {shlex.quote(prompt)} --top {top} --temperatures {given}"
    found = seen.next_tokens(top, temperatures, command=command)
    tokens = [{"id": id, "piece": token_text(lm, id)} for id in seen.ids[0]]
    output.emit(Result({"model": model, "tokens": tokens, **found.data}, parts=found.parts))
