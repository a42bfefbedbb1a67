"""`isinglass task fill-mask`: what stands in the gaps of a text."""

from __future__ import annotations

from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.task import typed
from isinglass.cli.texts import Text, read_text
from isinglass.cli.verb import option, verb

EXAMPLES = (
    'isinglass task fill-mask "The king sat on his [MASK]." --model runs/fill',
    'isinglass task fill-mask "He went [MASK] the [MASK]." --model runs/fill --top 3 --json',
)
app = verb("fill-mask", EXAMPLES, notes=["The model: isinglass train examples/fill_mask.toml --out runs/fill"])


@app.default
def task_fill_mask(
    text: Text,
    /,
    *,
    model: Annotated[str, option("A folder with a model that was trained to fill gaps.", "--model")],
    top: Annotated[int, option("How many candidates of each gap.")] = 5,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """What stands in each [MASK] of a text."""
    given = read_text(text)
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.tasks.fill_mask import fill_mask

        found = fill_mask(load(model), given, top=top, command=typed("fill-mask", given, model=model))
    output.emit(Result.of(found))
