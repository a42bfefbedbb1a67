"""`isinglass train`: a recipe carried out, with live curves; Ctrl-C keeps what is done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import option, verb
from isinglass.core.errors import ConfigError

if TYPE_CHECKING:
    from isinglass.cli.train_live import Live
    from isinglass.training.events import Finished
    from isinglass.training.recipe import Recipe

EXAMPLES = (
    "isinglass train examples/pretrain.toml --out runs/first",
    "isinglass train examples/pretrain.toml --set train.steps=200 --set 'model.attention.position=\"alibi\"' --out runs/alibi",
    "isinglass train examples/pretrain.toml --out runs/first --resume",
)
app = verb(
    "train",
    EXAMPLES,
    notes=[
        "A recipe is a TOML file: model, tokenizer, data, objective, [train]. Ctrl-C ends after the present step and writes a checkpoint;",
        "--resume goes on from there, bit for bit. What can be learned: isinglass explain objectives",
    ],
)


@app.default
def train(
    recipe: Annotated[Path, Parameter(help="The recipe, a .toml file.")],
    /,
    *,
    set: Annotated[tuple[str, ...], option("Replace a setting: key.of.setting=value. May be repeated.")] = (),
    out: Annotated[Path | None, option("Where the run is kept; in place of the recipe's out.")] = None,
    resume: Annotated[bool, option("Go on with the run that is there.")] = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> int:
    """Train a model as a recipe says."""
    with output.working("reading the recipe"):
        from isinglass.cli.train_live import Live
        from isinglass.training.recipe import read_recipe

    asked = read_recipe(recipe, [*set, *([] if out is None else [f"out={str(out)!r}"])])
    if resume and asked.out is None:
        raise ConfigError("--resume needs the folder of the run", hint="add --out FOLDER")
    with output.working("preparing"):
        lm = asked.lm()
    finished = _followed(asked, lm, resume, Live(output.talk()))
    if finished is None:
        again = f"; go on with: isinglass train {recipe} --out {asked.out} --resume" if asked.out else ""
        output.say(f"stopped{again}")
        return 130
    output.emit(_result(finished))
    return 0


def _followed(recipe: Recipe, lm: Any, resume: bool, live: Live) -> Finished | None:
    """Train and show; None when Ctrl-C ended it, after the checkpoint is written."""
    from isinglass.training.events import Finished
    from isinglass.training.recipe import cook

    events = cook(recipe, lm, resume=resume)
    with live, _stopping() as stopping:
        for event in events:
            live.see(event)
            if isinstance(event, Finished):
                return event
            if stopping:
                events.close()  # type: ignore[attr-defined] # a generator
                return None
    return None


@contextmanager
def _stopping() -> Iterator[list[bool]]:
    """A list that is no longer empty after the first Ctrl-C, which lets the present step end; the second one interrupts at once."""
    asked: list[bool] = []

    def first(number: int, frame: Any) -> None:
        asked.append(True)
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, first)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _result(finished: Finished) -> Result:
    run = finished.run
    data = {
        "steps": finished.step,
        "reason": finished.reason,
        "best_step": run.best_step,
        "best_loss": run.best_loss,
        "folder": None if run.folder is None else str(run.folder),
        "evaluations": run.evaluations,
        "rows": list(run.rows),
        "merge_drift": None if run.drift is None else run.drift.rows,
    }
    return Result(data, parts=[*([run.summary] if run.evaluations else []), *([run.drift] if run.drift else []), run.figure])
