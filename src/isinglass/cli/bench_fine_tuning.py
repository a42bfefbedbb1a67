"""`isinglass bench fine-tuning`: a recipe with several strategies and adapters, side by side."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Names, option, verb
from isinglass.core.errors import ConfigError

EXAMPLES = (
    "isinglass bench fine-tuning examples/instruct.toml --strategies last_block,all --ranks 2,8,32",
    "isinglass bench fine-tuning examples/lora.toml --ranks 1,4,16 --set train.steps=20 --save ranks.csv",
    "isinglass bench fine-tuning examples/instruct.toml --adapters 'none;lora(rank=8, alpha=32);prefix(length=16)'",
)
app = verb(
    "fine-tuning",
    EXAMPLES,
    notes=[
        "Every combination is trained as the recipe says, from the same start. For classifiers see also: isinglass bench classification"
    ],
)


@app.default
def bench_fine_tuning(
    recipe: Annotated[Path, Parameter(help="The recipe, a .toml file.")],
    /,
    *,
    strategies: Annotated[Names, option("Comma-separated: head, last_block, last_two_blocks, norm_and_bias, all; the recipe's.")] = (),
    ranks: Annotated[Names, option("Comma-separated ranks of LoRA; none: without an adapter.")] = (),
    adapters: Annotated[str, option("Adapters of any kind, separated by semicolons, in place of ranks; none: without one.")] = "",
    set: Annotated[tuple[str, ...], option("Replace a setting: key.of.setting=value. May be repeated.")] = (),
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Trained parameters, seconds, peak memory and loss of ways to fine-tune, as one table."""
    if ranks and adapters:
        raise ConfigError("--ranks beside --adapters", hint="write ranks as adapters: --adapters 'lora(rank=4);lora(rank=16)'")
    with output.working("reading the recipe"):
        from isinglass.core.units import duration
        from isinglass.evaluation.fine_tuning_sweep import sweeping, table
        from isinglass.training.recipe import read_recipe

        read = read_recipe(recipe, set)
        lm = read.lm()
    named = (
        [part.strip() for part in adapters.split(";")] if adapters else [rank if rank == "none" else f"lora(rank={rank})" for rank in ranks]
    )
    choices: list[dict[str, Any]] = [
        {"strategy": strategy, "adapter": None if adapter == "none" else adapter}
        for strategy, adapter in itertools.product(strategies or (read.strategy,), named or [read.adapter or "none"])
    ]
    tried = []
    try:
        for one in sweeping(lm, read.data, choices, objective=read.objective, seed=read.seed, config=read.train):
            tried.append(one)
            row = one.row()
            output.say(f"{row['strategy']}, {row['adapter'] or 'no adapter'}: loss {row['loss']:.4f} after {duration(row['seconds'])}")
    finally:
        # after Ctrl-C or a failure, too: what is done is shown
        if tried:
            shown = table(tried)
            output.emit(Result({"recipe": str(recipe), "runs": shown.rows}, parts=[shown]))
