"""`isinglass task complete`: several ways in which a text goes on."""

from __future__ import annotations

from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.task import typed
from isinglass.cli.texts import Text, read_text
from isinglass.cli.verb import option, verb

EXAMPLES = (
    'isinglass task complete "The capital of France is"',
    'isinglass task complete "Once upon a time" -n 5 --tokens 40 --seed 1',
)
app = verb("complete", EXAMPLES, notes=["All settings of decoding: isinglass generate"])


@app.default
def task_complete(
    text: Text,
    /,
    *,
    n: Annotated[int, option("How many continuations.", "-n")] = 3,
    tokens: Annotated[int, option("Tokens of each, at most.")] = 24,
    model: Annotated[str, option("A decoder: an asset, a folder or a .gguf file.", "--model")] = "smollm2",
    seed: Annotated[int, option("Of the draws.")] = 0,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """How a text goes on, the most probable continuation first."""
    given = read_text(text)
    command = typed("complete", given, n=n, tokens=tokens, model=model if model != "smollm2" else None, seed=seed)
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.tasks.complete import complete

        found = complete(load(model), given, n=n, max_tokens=tokens, seed=seed, command=command.replace("--n ", "-n "))
    output.emit(Result.of(found))
