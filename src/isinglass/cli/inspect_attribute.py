"""`isinglass inspect attribute`: which tokens of the text make the answer, from gradients."""

from __future__ import annotations

import shlex
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import Text, read_text
from isinglass.cli.verb import Dtype, Model, at_least, option, verb

EXAMPLES = (
    'isinglass inspect attribute smollm2 "The capital of France is" --answer " Paris" --baseline "The capital of Italy is"',
    'isinglass inspect attribute smollm2 "The capital of France is" --method gradient --json',
)
app = verb(
    "attribute",
    EXAMPLES,
    notes=["Integrated gradients sum to f(text) - f(baseline); the error of that is printed. Large models want a text as the baseline."],
)


@app.default
def inspect_attribute(
    model: Model,
    text: Text,
    /,
    *,
    answer: Annotated[str | None, option("One token, often with its space. None: the likeliest one.")] = None,
    other: Annotated[str | None, option("Another token: the logit difference of the two is asked for.")] = None,
    metric: Annotated[str | None, option("logit, difference or probability.")] = None,
    method: Annotated[str, option("integrated or gradient.")] = "integrated",
    steps: Annotated[int, option("Of integrated gradients.", validator=at_least(1))] = 32,
    baseline: Annotated[str | None, option("A text of as many tokens to begin at. None: embeddings of zero.")] = None,
    target: Annotated[str | None, option("What an encoder-decoder has written so far.")] = None,
    at: Annotated[int | None, option("The position that is asked. None: the last, of an encoder that of its mask token.")] = None,
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Each token's share in the answer."""
    prompt = read_text(text)
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.inspection.attribution import attribute

        lm = load(model, dtype=dtype)
    asked = {"answer": answer, "other": other, "metric": metric, "method": method, "steps": steps}
    asked |= {"baseline": baseline, "target": target, "at": at}
    stated = [f"--{name} {shlex.quote(str(value))}" for name, value in asked.items() if value is not None]
    command = " ".join(["isinglass inspect attribute", shlex.quote(model), shlex.quote(prompt), *stated])
    with output.working("taking gradients"):
        found = attribute(lm, prompt, **asked, command=command)  # type: ignore[arg-type]
    output.emit(Result({"model": model, **found.data}, found.parts))
