"""`isinglass inspect timeline`: a view of a model across the checkpoints of its training."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import option, verb

EXAMPLES = (
    "isinglass inspect timeline runs/first",
    'isinglass inspect timeline runs/first --view predict --prompt "Once upon a" --answer " time"',
    "isinglass inspect timeline runs/lora --base smollm2 --save heads.svg",
)
app = verb(
    "timeline",
    EXAMPLES,
    notes=['A run keeps its two newest checkpoints; with train.keep = "all" it keeps each one, every train.save_every steps.'],
)


@app.default
def timeline(
    run: Annotated[Path, Parameter(help="The folder of a run, finished or not.")],
    /,
    *,
    view: Annotated[
        Literal["heads", "predict", "loss"] | None,
        option("heads: scores of the best heads; predict: the answer after --prompt; loss.", show_default=False),
    ] = None,
    prompt: Annotated[str | None, option("The text that is continued, for --view predict.")] = None,
    answer: Annotated[str | None, option("What should follow; else what the last checkpoint finds likeliest.")] = None,
    base: Annotated[str | None, option("The model that the run began with, where not all of its weights were trained.")] = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """What a model learned when: heads or predictions, checkpoint by checkpoint, beside the loss."""
    name = view or ("predict" if prompt is not None else "heads")
    with output.working("reading the run"):
        from isinglass.generation.lm import load
        from isinglass.inspection.checkpoints import RunFolder
        from isinglass.inspection.timeline import chosen, collected, moments
        from isinglass.show.terminal import progress

        began = None if base is None else load(base)
        n_checkpoints = len(RunFolder.of(run, began).checkpoints)
        measure = chosen(name, run, prompt, answer, began)
    given = {"view": name, "prompt": prompt, "answer": answer, "base": base}
    options = " ".join(f"--{key} {shlex.quote(value)}" for key, value in given.items() if value is not None)
    seen = []
    with progress("checkpoints", n_checkpoints, console=output.talk()) as advance:
        for moment in moments(run, measure, base=began):
            seen.append(moment)
            advance(1)
    output.emit(Result.of(collected(run, name, seen, command=f"isinglass inspect timeline {shlex.quote(str(run))} {options}")))
