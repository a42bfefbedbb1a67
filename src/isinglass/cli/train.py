"""`isinglass train`: a recipe carried out, with live curves; Ctrl-C keeps what is done."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
# imported only when they are used
app.command("isinglass.cli.train_search:app", name="search", help="The same recipe with other settings, run after run: which is best.")
app.command("isinglass.cli.train_compare:app", name="compare", help="Several runs beside each other, in one figure.")


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
        from rich.console import Console

        from isinglass.cli.train_live import Live
        from isinglass.training.events import Finished
        from isinglass.training.recipe import read_recipe

    asked = read_recipe(recipe, [*set, *([] if out is None else [f"out={str(out)!r}"])])
    if resume and asked.out is None:
        raise ConfigError("--resume needs the folder of the run", hint="add --out FOLDER")
    if resume and asked.out is not None and not any(Path(asked.out).glob("checkpoints/step-*")):
        output.say(f"no checkpoint in {asked.out!r}: the run begins at its first step")
    with output.working("preparing"):
        lm = asked.lm()
    speaks = os.environ.get("RANK", "0") == "0"  # of the processes of torchrun one
    finished = _followed(asked, lm, resume, Live(output.talk() if speaks else Console(quiet=True)))
    if not speaks:
        return 0 if isinstance(finished, Finished) else finished
    if not isinstance(finished, Finished):
        again = f"; go on with: isinglass train {recipe} --out {asked.out} --resume" if asked.out else ""
        output.say(f"stopped{again}")
        return finished
    output.emit(_result(finished))
    return 0


def _followed(recipe: Recipe, lm: Any, resume: bool, live: Live) -> Finished | int:
    """Train and show; the exit code when a signal ended it, after the checkpoint is written."""
    from isinglass.training.events import Finished, StepDone
    from isinglass.training.loop import Stopped
    from isinglass.training.recipe import cook
    from isinglass.training.scale import agreed

    events = cook(recipe, lm, resume=resume)
    with live, stopping() as asked:
        for event in events:
            live.see(event)
            if isinstance(event, Finished):
                return event
            if isinstance(event, StepDone) and agreed(bool(asked)):
                with suppress(StopIteration):
                    events.throw(Stopped())  # type: ignore[attr-defined] # a generator
                return 128 + (asked or [signal.SIGINT])[0]
    raise AssertionError("training ends with Finished")


@contextmanager
def stopping() -> Iterator[list[int]]:
    """The first Ctrl-C, or the first SIGTERM, stands in the list and lets the present step end; the second one interrupts at once."""
    asked: list[int] = []

    def first(number: int, frame: Any) -> None:
        asked.append(number)
        if "RANK" not in os.environ:  # the terminal and torchrun both tell its processes
            back()

    def back() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    before = {each: signal.signal(each, first) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        back()


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
        "cost": None if run.cost is None else run.cost.values(),
        "merge_drift": None if run.drift is None else run.drift.rows,
    }
    tables = [run.summary if run.evaluations else None, run.drift, None if run.cost is None else run.cost.table]
    return Result(data, parts=[*(table for table in tables if table is not None), run.figure])
