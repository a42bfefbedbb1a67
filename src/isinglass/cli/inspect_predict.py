"""`isinglass inspect predict`: what follows several texts, under other normalisations, how surprising they are, and cut otherwise."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import Text, read_text
from isinglass.cli.verb import Dtype, Model, Names, Numbers, at_least, option, verb
from isinglass.core.errors import ConfigError

if TYPE_CHECKING:
    from isinglass.generation.lm import LM
    from isinglass.show.finding import Finding

EXAMPLES = (
    'isinglass inspect predict smollm2 "Paris is in" "Lima is in" --temperatures 0.1,1,2',
    'isinglass inspect predict smollm2 "The capital of France is" --normalizations softmax,sparsemax,l1,argmax',
    'isinglass inspect predict smollm2 "The cat sat on the mat." --surprisal --tokenizations --save cat.html',
)
app = verb(
    "predict",
    EXAMPLES,
    notes=[
        "Probabilities are over the whole vocabulary. Normalizations: softmax, entmax15, sparsemax, l1 (of positive logits), argmax.",
        "An encoder answers at its one [MASK]; of an encoder-decoder the texts are read, and --target is what it has written.",
    ],
)


@app.default
def inspect_predict(
    model: Model,
    /,
    *texts: Text,
    top: Annotated[int, option("How many tokens to show.", validator=at_least(1))] = 10,
    temperatures: Annotated[Numbers, option("Comma-separated.", validator=at_least(0))] = (1.0,),
    normalizations: Annotated[Names, option("Other ways to make probabilities of the logits, comma-separated.")] = (),
    surprisal: Annotated[bool, option("How surprising each token of each text is.")] = False,
    tokenizations: Annotated[bool, option("The same content cut otherwise.")] = False,
    target: Annotated[str | None, option("What an encoder-decoder has written so far.")] = None,
    seed: Annotated[int, option("Of the random tokenizations.")] = 0,
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """What follows each text; and how sure, under which normalisation, in which tokens."""
    if not texts:
        raise ConfigError("no text was given", hint='isinglass inspect predict smollm2 "The capital of France is"')
    given = [read_text(text) for text in texts]
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.inspection.normalizations import NORMALIZATIONS
        from isinglass.inspection.predict import normalize, predict

        lm = load(model, dtype=dtype)
    from isinglass.core.errors import unknown

    for name in normalizations:
        if name not in NORMALIZATIONS:
            raise unknown("normalization", name, NORMALIZATIONS, where="--normalizations")
    again = f"isinglass inspect predict {shlex.quote(model)}"
    command = f"{again} {' '.join(map(shlex.quote, given))} --top {top} --temperatures {','.join(f'{t:g}' for t in temperatures)}"
    prompts = [_prompt(lm, text) for text in given]
    targets = None if target is None else [target] * len(prompts)
    found = predict(lm, prompts, target=targets, top=top, temperatures=temperatures, command=command)
    data: dict[str, Any] = {"model": model, **found.data}
    parts = [*found.parts]
    for name, wanted in (("normalizations", bool(normalizations)), ("surprisal", surprisal), ("tokenizations", tokenizations)):
        made: list[Finding] = []
        for text, prompt in zip(given if wanted else [], prompts, strict=wanted):
            one = f"{again} {shlex.quote(text)}"
            with output.working(f"{name} of {text[:40]!r}"):
                if name == "normalizations":
                    command = f"{one} --normalizations {','.join(normalizations)}"
                    made.append(normalize(lm, prompt, names=normalizations, target=target, top=top, command=command))
                else:
                    made.append(_of_text(name, lm, text, target, seed, f"{one} --{name}"))
        if wanted:
            data[name] = [one.data for one in made]
        parts += [part for one in made for part in one.parts]
    output.emit(Result(data, parts))


def _of_text(name: str, lm: LM, text: str, target: str | None, seed: int, command: str) -> Finding:
    from isinglass.inspection.surprisal import surprisal
    from isinglass.inspection.tokenizations import tokenizations

    if name == "surprisal":
        return surprisal(lm, text, target=target, command=command)
    return tokenizations(lm, text, seed=seed, command=command)


def _prompt(lm: LM, text: str) -> str | list[int]:
    """An encoder's mask is a special token, which plain text never is; what is typed here for one may hold it."""
    if lm.config.architecture != "encoder":
        return text
    return lm.tokenizer.encode(text, special="parse", add_special=True)
