"""`isinglass inspect architecture`: what a model is made of, as a picture with the taps in their places; and two norms by experiment."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import option, verb

EXAMPLES = (
    "isinglass inspect architecture smollm2",
    "isinglass inspect architecture \"gpt2(size='355m')\" --save gpt2.svg",
    "isinglass inspect architecture t5 --json",
    "isinglass inspect architecture smollm2 --view norms",
)
app = verb(
    "architecture", EXAMPLES, notes=["Only --view norms reads weights: it normalises the vectors that the model's first layer is given."]
)


@app.default
def architecture(
    model: Annotated[str, Parameter(help="An asset, a folder, a .gguf file, or a preset such as \"gpt2(size='355m')\".")],
    /,
    *,
    view: Annotated[Literal["parts", "norms"], option("parts: the picture; norms: LayerNorm against BatchNorm.")] = "parts",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """The parts of a model with sizes and shares, which tap is what, and what its vocabulary costs."""
    command = f"isinglass inspect architecture {shlex.quote(model)}"
    if view == "norms":
        with output.working(f"loading {model}"):
            from isinglass.generation.lm import load
            from isinglass.inspection.norm_experiment import norm_experiment

            found = norm_experiment(load(model), command=f"{command} --view norms")
        output.emit(Result.of(found))
        return
    from isinglass.cli.model import config_of

    with output.working(f"taking {model} apart"):
        from isinglass.inspection.architecture import architecture as taken_apart

        parts = taken_apart(config_of(model), name=model, command=command)
    output.emit(Result.of(parts))
