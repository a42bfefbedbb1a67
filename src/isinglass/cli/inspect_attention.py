"""`isinglass inspect attention`: where every head of every layer looks, or what the layers mix together."""

from __future__ import annotations

import shlex
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import Text, read_text
from isinglass.cli.verb import Dtype, Model, at_least, option, verb
from isinglass.core.errors import unknown

EXAMPLES = (
    'isinglass inspect attention smollm2 "The cat sat on the mat because it was tired" --layer 17 --head 3 --save attention.html',
    'isinglass inspect attention minilm "He sat by the river bank" --json',
    'isinglass inspect attention smollm2 "The capital of France is" --rollout --save rollout.png',
    'isinglass inspect attention ./t5 "a text that is read" --target "what is written" --which cross --layer 1 --head 2',
)
KINDS = ("self", "encoder", "decoder", "cross")
app = verb(
    "attention",
    EXAMPLES,
    notes=["The terminal lists the heads of one layer; a page (--save attention.html) shows all and opens any. Up to 512 tokens."],
)


@app.default
def inspect_attention(
    model: Model,
    text: Text,
    /,
    *,
    layer: Annotated[int, option("The layer that is opened.", validator=at_least(0))] = 0,
    head: Annotated[int, option("The head that is opened.", validator=at_least(0))] = 0,
    which: Annotated[str | None, option("Of an encoder-decoder: encoder, decoder or cross.")] = None,
    target: Annotated[str | None, option("What an encoder-decoder has written so far.")] = None,
    rollout: Annotated[bool, option("Multiply the layers up instead: how much of each token has reached each place.")] = False,
    position: Annotated[int, option("Of --rollout: the place whose parts are listed; below 0 from the end.")] = -1,
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Attention of every layer and head."""
    if which is not None and which not in KINDS:
        raise unknown("kind of attention", which, KINDS, where="--which")
    prompt = read_text(text)
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.inspection import attention as views
        from isinglass.inspection.trace import trace

        lm = load(model, dtype=dtype)
    options = [f"--which {which}"] * (which is not None) + [f"--target {shlex.quote(target or '')}"] * (target is not None)
    options += ["--rollout", f"--position {position}"] if rollout else [f"--layer {layer}", f"--head {head}"]
    command = " ".join(["isinglass inspect attention", shlex.quote(model), shlex.quote(prompt), *options])
    with output.working("reading the text"):
        seen = trace(lm, prompt, target=target)
        if rollout:
            rolled = views.rollout(seen, position=position, which=which, command=command)  # type: ignore[arg-type]
            result, shown = Result({"model": model, **rolled.data}, rolled.parts), rolled.parts
        else:
            found = views.attention(seen, layer=layer, head=head, which=which, command=command)  # type: ignore[arg-type]
            result, shown = Result({"model": model, **found.data}, found.parts), (found.picture, found.of_layer, found.looks)
    if not output.json:
        print("\n\n".join(part.to_terminal() for part in shown))
    output.emit(result, printed=True)
