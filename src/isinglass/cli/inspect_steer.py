"""`isinglass inspect steer`: the difference of two prompts, added inside the model while it reads a third."""

from __future__ import annotations

import shlex
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import Text, read_text
from isinglass.cli.verb import Dtype, Model, at_least, option, verb

EXAMPLES = (
    'isinglass inspect steer smollm2 "I think that the film" --toward "I love this" --away "I hate this" --layer 12 --strength 4',
    'isinglass inspect steer smollm2 "I went to" --toward "the sea and the beach" --away "the snow and the hills" --layer 9 --json',
)
app = verb("steer", EXAMPLES, notes=["Prompts of several tokens serve best: very large values at the first token drown a difference."])


@app.default
def inspect_steer(
    model: Model,
    text: Text,
    /,
    *,
    toward: Annotated[str, option("A prompt of what it shall become.")],
    away: Annotated[str, option("A prompt of what it shall leave.")],
    layer: Annotated[int, option("Behind which layer the difference is added.", validator=at_least(0))],
    strength: Annotated[float, option("How many times.")] = 2.0,
    length: Annotated[int, option("Tokens of the continuations.", validator=at_least(1))] = 20,
    top: Annotated[int, option("How many next tokens are shown.", validator=at_least(1))] = 10,
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """The next token and a continuation, before and after."""
    prompt = read_text(text)
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.inspection.steering import steer

        lm = load(model, dtype=dtype)
    asked = {"toward": toward, "away": away, "layer": layer, "strength": strength, "length": length, "top": top}
    stated = " ".join(f"--{name}={shlex.quote(f'{value:g}' if isinstance(value, float) else str(value))}" for name, value in asked.items())
    command = f"isinglass inspect steer {shlex.quote(model)} {shlex.quote(prompt)} {stated}"
    with output.working("steering"):
        found = steer(lm, prompt, **asked, command=command)  # type: ignore[arg-type]
    output.emit(Result({"model": model, **found.data}, found.parts))
