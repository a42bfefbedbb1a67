"""`isinglass train search`: a recipe with varied settings, run after run; Ctrl-C keeps what is done."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.train import stopping
from isinglass.cli.verb import at_least, option, verb
from isinglass.core.config import parse_override
from isinglass.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isinglass.training.found import Found
    from isinglass.training.search import SearchEvent

EXAMPLES = (
    'isinglass train search examples/pretrain.toml --over \'train.optimizer=["adamw(lr=0.001)", "muon(lr=0.01)"]\' --out runs/optimizers',
    "isinglass train search examples/pretrain.toml --over 'train.optimizer.lr=log(1e-4, 1e-2)' --over 'model.dropout=uniform(0, 0.3)' "
    "--trials 8 --set train.steps=300 --out runs/search",
    "isinglass train search examples/pretrain.toml --over 'train.optimizer.lr=log(1e-4, 1e-2)' --over 'model.dropout=uniform(0, 0.3)' "
    "--trials 8 --set train.steps=300 --out runs/search --resume",
)
app = verb(
    "search",
    EXAMPLES,
    notes=[
        "Lists are tried in every combination; with --trials, which ranges need, so many points are drawn at random.",
        "A key may end inside an expression: train.optimizer.lr, model.dropout. Ranges: isinglass explain ranges",
        "Each trial is an ordinary run in a folder of its own, results.csv and results.json stand beside them.",
        "--resume goes on after Ctrl-C or kill, the trial that was cut off bit for bit.",
    ],
)


@app.default
def search(
    recipe: Annotated[Path, Parameter(help="The recipe, a .toml file.")],
    /,
    *,
    over: Annotated[tuple[str, ...], option("What is varied: key=[value, value] or key=range. May be repeated.")],
    trials: Annotated[int | None, option("How many points are drawn at random.", validator=at_least(1))] = None,
    seed: Annotated[int, option("Which points are drawn.")] = 0,
    set: Annotated[tuple[str, ...], option("Replace a setting of all trials: key.of.setting=value. May be repeated.")] = (),
    out: Annotated[Path | None, option("Where the trials are kept; in place of the recipe's out.")] = None,
    resume: Annotated[bool, option("Go on with the search that is there.")] = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> int:
    """Train a recipe with varied settings and sort the trials by their best validation loss."""
    space = _space(over)
    with output.working("reading the recipe"):
        from isinglass.training.recipe import read_recipe
        from isinglass.training.search import searching

        asked = read_recipe(recipe, set)
    folder = out or (None if asked.out is None else Path(asked.out))
    if folder is None:
        raise ConfigError("a search needs a folder for its trials", hint="add --out FOLDER")
    found = _followed(searching(asked, space, trials=trials, seed=seed, out=folder, resume=resume), output)
    if isinstance(found, int):
        output.say("stopped; go on with the same command and --resume")
        return found
    rows = found.table.rows
    output.emit(Result({"folder": str(found.folder), "measure": found.measure, "best": rows[0], "trials": rows}, parts=found.parts))
    return 0


def _space(over: Sequence[str]) -> dict[str, Any]:
    """Keys with their lists or ranges. Raises ConfigError for a key that is given twice."""
    space: dict[str, Any] = {}
    for text in over:
        path, value = parse_override(text)
        key = ".".join(path)
        if key in space:
            raise ConfigError(f"--over {key} is given twice", hint=f"put all its values into one list: {key}=[...]")
        space[key] = value
    return space


def _followed(events: Iterator[SearchEvent], output: Output) -> Found | int:
    """Run and show; the exit code when a signal ended it, after the checkpoint is written."""
    from isinglass.cli.train_live import Live
    from isinglass.training.events import StepDone
    from isinglass.training.search import SearchDone, TrialDone, TrialStarted

    with stopping() as asked, ExitStack() as shown:
        live = Live(output.talk())
        for event in events:
            match event:
                case SearchDone(found):
                    return found
                case TrialStarted(number, n_trials, _, point):
                    output.say(f"trial {number} of {n_trials}: {', '.join(f'{key} = {value}' for key, value in point.items())}")
                    live = shown.enter_context(Live(output.talk()))
                case TrialDone(number, n_trials, _, failed):
                    shown.close()
                    if failed:
                        output.say(f"trial {number} of {n_trials} failed: {failed}")
                case _:
                    live.see(event)
            if asked and isinstance(event, StepDone | TrialDone):
                events.close()  # type: ignore[attr-defined] # a generator
                return 128 + asked[0]
    raise AssertionError("a search ends with SearchDone")
