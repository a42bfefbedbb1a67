"""`isinglass walk`: a forward pass as the source lines that ran."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import Text, read_text
from isinglass.cli.verb import Dtype, Model, at_least, option, verb

EXAMPLES = (
    'isinglass walk smollm2 "The capital of France is"',
    'isinglass walk smollm2 "Once upon a time" --layer 7 --part attention --written-out',
    'isinglass walk smollm2 "2 + 2 =" --values 6 --save walk.html',
)
app = verb("walk", EXAMPLES, notes=["Shown are the lines of the model itself; torch's are passed over. Looking changes no result."])


@app.default
def walk(
    model: Model,
    text: Text,
    /,
    *,
    target: Annotated[str | None, option("What an encoder-decoder has written so far.")] = None,
    layer: Annotated[int, option("The layer to show; those that ran the same lines are folded.", validator=at_least(0))] = 0,
    part: Annotated[Literal["attention", "mlp", "all"], option("attention, mlp or all.")] = "all",
    values: Annotated[int, option("How many first values of each tensor to show.", validator=at_least(0))] = 3,
    written_out: Annotated[bool, option("Attention step by step, by the reference kernel (the result is the same to 1e-5).")] = False,
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """A forward pass as the source lines that ran, in order, beside the live shapes and values."""
    prompt = read_text(text)
    with output.working(f"walking through {model}"):
        from isinglass.generation.lm import load
        from isinglass.inspection.walk import WRITTEN_OUT
        from isinglass.inspection.walk import walk as walk_through

        command = f"isinglass walk {shlex.quote(model)} {shlex.quote(prompt)} --layer {layer} --part {part} --values {values}"
        tap = WRITTEN_OUT if written_out else None
        lm = load(model, dtype=dtype)
        options = f"{' --written-out' if written_out else ''}{f' --target {shlex.quote(target)}' if target is not None else ''}"
        found = walk_through(lm, prompt, target=target, layer=layer, part=part, values=values, tap=tap, command=command + options)
    output.emit(Result.of(found))
