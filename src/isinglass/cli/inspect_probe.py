"""`isinglass inspect probe`: what a straight line can read off each layer, with the controls that say what it means."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Dtype, Model, at_least, option, verb
from isinglass.core.errors import ConfigError

EXAMPLES = (
    "isinglass inspect probe smollm2 --task plural",
    "isinglass inspect probe smollm2 --task repeats --save probe.html",
    "isinglass inspect probe minilm --file reviews.csv --pool mean --folds 10",
)
app = verb(
    "probe",
    EXAMPLES,
    notes=[
        "A file (csv, tsv, json, jsonl) has the columns text and label. Tasks: plural (is the subject plural; another noun stands last),",
        "repeats (does a token stand earlier in the text). Controls: shuffled labels, fresh weights, the largest class.",
    ],
)


@app.default
def inspect_probe(
    model: Model,
    /,
    *,
    file: Annotated[Path | None, option("Texts with labels.")] = None,
    task: Annotated[str | None, option("One that comes with the package: plural, repeats.")] = None,
    pool: Annotated[Literal["last", "mean"], option("Which vector stands for a text of the file: its last token, or the mean.")] = "last",
    folds: Annotated[int, option("Of the cross-validation.", validator=at_least(2))] = 5,
    seed: Annotated[int, option("Of folds, shuffled labels and fresh weights.")] = 0,
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Accuracy of a linear probe at each layer, beside its controls."""
    if (file is None) == (task is None):
        raise ConfigError("expected either --file or --task", hint="isinglass inspect probe smollm2 --task plural")
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.inspection.probe_tasks import named_task, task_from_file
        from isinglass.inspection.probes import probe

        from_file = None if file is None else task_from_file(file)
        lm = load(model, dtype=dtype)
    asked = from_file or named_task(str(task), lm)
    asked_for = f"--file {shlex.quote(str(file))} --pool {pool}" if file is not None else f"--task {task}"
    command = f"isinglass inspect probe {shlex.quote(model)} {asked_for} --folds {folds} --seed {seed}"
    done: list[int] = []

    def progress(count: int) -> None:
        done.append(count)
        if len(done) % 5 == 0:
            output.say(f"{len(done)} places of the model probed")

    output.say(f"reading {len(asked.texts)} texts with the model and with fresh weights")
    per_token = not isinstance(asked.labels[0], str)
    found = probe(lm, asked, pool="token" if per_token else pool, n_folds=folds, seed=seed, progress=progress, command=command)
    output.emit(Result.of(found))
