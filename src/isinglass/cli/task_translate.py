"""`isinglass task translate`: a text in other words."""

from __future__ import annotations

from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.task import Texts, typed
from isinglass.cli.verb import option, verb
from isinglass.core.errors import ConfigError

EXAMPLES = ('isinglass task translate "And he said unto them, Whither goest thou?" --model runs/translate',)
app = verb("translate", EXAMPLES, notes=["The model: isinglass train examples/translate.toml --out runs/translate"])


@app.default
def task_translate(
    *texts: Texts,
    model: Annotated[str, option("A folder with an encoder-decoder that was trained to translate.", "--model")],
    strategy: Annotated[str, option("How tokens are chosen: greedy, or sample(...).")] = "greedy",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Each text as the model writes it anew."""
    if not texts:
        raise ConfigError("no text was given", hint='isinglass task translate "Whither goest thou?" --model runs/translate')
    command = typed("translate", *texts, model=model, strategy=strategy if strategy != "greedy" else None)
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.tasks.translate import translate

        found = translate(load(model), texts, strategy=strategy, command=command)
    output.emit(Result.of(found))
