"""`isinglass inspect ablate`: what each head is worth to the answer, or what the model says without some of them."""

from __future__ import annotations

import shlex
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import Text, read_text
from isinglass.cli.verb import Dtype, Model, at_least, option, verb
from isinglass.core.errors import ConfigError, unknown

EXAMPLES = (
    'isinglass inspect ablate smollm2 "The capital of France is" --answer " Paris" --save heads.html',
    'isinglass inspect ablate smollm2 "The capital of France is" --cut 20.1,20.2 --json',
)
SILENCE = ("zero", "mean")
app = verb(
    "ablate",
    EXAMPLES,
    notes=["Without --cut, every head is silenced once: a map. With it, these heads together: the next token before and after."],
)


@app.default
def inspect_ablate(
    model: Model,
    text: Text,
    /,
    *,
    cut: Annotated[str | None, option("Heads as LAYER.HEAD with commas between.")] = None,
    which: Annotated[str | None, option("With --cut, attention of an encoder-decoder: encoder, decoder or cross.")] = None,
    top: Annotated[int, option("With --cut: how many tokens are shown.", validator=at_least(1))] = 10,
    answer: Annotated[str | None, option("Of the map: one token, often with its space. None: the likeliest one.")] = None,
    other: Annotated[str | None, option("Of the map: another token, for the logit difference of the two.")] = None,
    silence: Annotated[str, option("Of the map: zero, or mean (over the tokens of the text).")] = "zero",
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Silence heads and ask again."""
    if silence not in SILENCE:
        raise unknown("silence", silence, SILENCE, where="--silence")
    if cut is not None and (answer, other, silence) != (None, None, "zero"):
        raise ConfigError("--answer, --other and --silence belong to the map of all heads, not to --cut")
    prompt = read_text(text)
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.inspection.ablation import ablated, ablating, ablation, named_heads, without
        from isinglass.inspection.patching import CellsDone
        from isinglass.show.terminal import progress

        heads = None if cut is None else named_heads(cut)
        lm = load(model, dtype=dtype)
    begin = f"isinglass inspect ablate {shlex.quote(model)} {shlex.quote(prompt)}"
    if heads is not None:
        kind = f" --which {which}" if which else ""
        command = f"{begin} --cut {','.join(f'{layer}.{head}' for layer, head in heads)}{kind} --top {top}"
        with output.working("asking before and after"):
            found = without(lm, prompt, heads, which=which, top=top, command=command)  # type: ignore[arg-type]
        output.emit(Result({"model": model, **found.data}, found.parts))
        return
    given = ablation(lm, prompt, answer=answer, other=other, silence=silence)  # type: ignore[arg-type]
    stated = "".join(f" --{name} {shlex.quote(value)}" for name, value in (("answer", answer), ("other", other)) if value is not None)
    events: list[CellsDone] = []
    stopped: KeyboardInterrupt | None = None
    total = given.shape[0] * given.shape[1]
    with progress(f"silencing {total} heads, one at a time", total, console=output.talk()) as advance:
        try:
            for event in ablating(given):
                events.append(event)
                advance(len(event.cells))
        except KeyboardInterrupt as pressed:  # what is done is kept
            stopped = pressed
    made = ablated(given, events, f"{begin}{stated} --silence {silence}")
    if events:
        output.emit(Result({"model": model, **made.data}, made.parts))
    if stopped is not None:
        raise stopped
