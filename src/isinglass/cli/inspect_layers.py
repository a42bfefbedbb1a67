"""`isinglass inspect layers`: layer by layer: what each would say, how alike they are, how long their vectors, what makes the logit."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any, Literal

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import Text, read_text
from isinglass.cli.verb import Dtype, Model, at_least, option, verb
from isinglass.core.errors import ConfigError

if TYPE_CHECKING:
    from isinglass.generation.lm import LM
    from isinglass.inspection.trace import Trace
    from isinglass.show.finding import Finding

EXAMPLES = (
    'isinglass inspect layers smollm2 "The capital of France is" --token " Paris" --against " London"',
    'isinglass inspect layers smollm2 "The capital of France is" --view contributions --token " Paris" --save paris.html',
    'isinglass inspect layers smollm2 "The cat sat on the mat" --view similarity --skip 1',
    'isinglass inspect layers minilm "The cat sat on the mat" --view norms --json',
)
View = Literal["lens", "similarity", "norms", "contributions"]
# what each view can be told beside the text
_TOLD: dict[str, tuple[str, ...]] = {
    "lens": ("position", "token", "against", "after"),
    "similarity": ("position", "side", "skip"),
    "norms": ("position", "side"),
    "contributions": ("position", "token", "against"),
}
app = verb(
    "layers",
    EXAMPLES,
    notes=[
        "lens: each layer through the final norm and head (of an encoder its masked_lm head, of an encoder-decoder the decoder).",
        "similarity: cosine, and CKA over tokens. norms: the residual stream, and what attention and mlp add to it.",
        "contributions: shares of embedding, heads and mlps that sum to the logit; of models that are not post-norm.",
    ],
)


@app.default
def inspect_layers(
    model: Model,
    text: Text,
    /,
    *,
    view: Annotated[View, option("What to look at.")] = "lens",
    position: Annotated[
        int | None,
        option("The token that is looked at, below 0 from the end. None: the last, of an encoder its [MASK]; similarity, norms: all."),
    ] = None,
    token: Annotated[str | None, option("One token, often with its space, to follow. None: the model's own answer.")] = None,
    against: Annotated[str | None, option("Another token; contributions are then to the difference of both logits.")] = None,
    after: Annotated[Literal["layer", "sublayer"] | None, option("The lens after each layer, or after each part of it too.")] = None,
    side: Annotated[Literal["encoder", "decoder"] | None, option("Of an encoder-decoder, for similarity and norms.")] = None,
    skip: Annotated[int | None, option("Tokens at the beginning that similarity leaves out.", validator=at_least(0))] = None,
    target: Annotated[str | None, option("What an encoder-decoder has written so far.")] = None,
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """A model layer by layer."""
    given = {"position": position, "token": token, "against": against, "after": after, "side": side, "skip": skip}
    asked: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    for name in asked:
        if name not in _TOLD[view]:
            views = [known for known, names in _TOLD.items() if name in names]
            raise ConfigError(f"--{name} says nothing to --view {view}", hint=f"it belongs to --view {' or '.join(views)}")
    prompt = read_text(text)
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.inspection.trace import trace

        lm = load(model, dtype=dtype)
    stated = {"view": view, **asked} | ({} if target is None else {"target": target})
    options = [f"--{name} {shlex.quote(str(value))}" for name, value in stated.items()]
    command = " ".join(["isinglass inspect layers", shlex.quote(model), shlex.quote(prompt), *options])
    with output.working("looking at each layer"):
        found = _found(view, trace(lm, _prompt(lm, prompt), target=target), asked, command)
    output.emit(Result({"model": model, "view": view, **found.data}, found.parts))


def _found(view: View, trace: Trace, asked: dict[str, Any], command: str) -> Finding:
    from isinglass.inspection import contributions, layers, lens

    views = {
        "lens": lens.lens, "similarity": layers.similarity, "norms": layers.norms, "contributions": contributions.contributions,
    }  # fmt: skip
    return views[view](trace, **asked, command=command)


def _prompt(lm: LM, text: str) -> str | list[int]:
    """An encoder's mask is a special token, which plain text never is; what is typed here for one may hold it."""
    if lm.config.architecture != "encoder":
        return text
    return lm.tokenizer.encode(text, special="parse", add_special=True)
