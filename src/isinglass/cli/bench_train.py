"""`isinglass bench train`: training beside a plain PyTorch script, on the character-level recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Names, at_least, option, verb
from isinglass.core.errors import unknown

EXAMPLES = (
    "isinglass bench train tinyshakespeare.txt",
    "isinglass bench train tinyshakespeare.txt --ways fast --seeds 3 --save training.html",
    "isinglass bench train tinyshakespeare.txt --size char-10m --ways same --steps 30 --seeds 1",
)
app = verb(
    "train",
    EXAMPLES,
    notes=[
        "The peer is benchmarks/peer_train.py of the repository: torch alone, frozen. Each run has a process of its own, in turn.",
        "same: its model, optimizer and schedule; bf16, native, compiled: the same computed otherwise;",
        "relu: native, with ReLU for GELU; fast: what was measured to help (LOG.md).",
    ],
)


@app.default
def bench_train(
    text: Annotated[Path, Parameter(help="A text file, such as Tiny Shakespeare.")],
    /,
    *,
    size: Annotated[str, option("char (0.8M weights) or char-10m (10.65M).")] = "char",
    ways: Annotated[Names, option("Comma-separated: same, bf16, native, compiled, relu, fast.")] = ("same", "fast"),
    steps: Annotated[int, option("Of the peer; fast takes 3 for 20 of them.", validator=at_least(2))] = 2000,
    seeds: Annotated[int, option("How often each is run.", validator=at_least(1))] = 1,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Tokens per second, memory, and the time to a validation loss of 1.88."""
    from isinglass.evaluation import training_speed
    from isinglass.show.marks.lines import lines
    from isinglass.show.table import Table

    if size not in training_speed.SIZES:
        raise unknown("size", size, training_speed.SIZES, where="--size")
    for name in ways:
        if name not in training_speed.ways(steps):
            raise unknown("way", name, training_speed.ways(steps), where="--ways")
    runs = []
    for run in training_speed.compare_training(text, size, ways, steps=steps, seeds=seeds):
        runs.append(run)
        seconds, loss = run.curve[-1]
        output.say(f"{run.who}, seed {run.seed}: {run.tokens_per_second:,.0f} tokens/s, validation loss {loss:.3f} after {seconds:.1f} s")
    rows = [run.row() for run in runs]
    figure = lines(
        {f"{run.who}, seed {run.seed}": ([s for s, _ in run.curve], [loss for _, loss in run.curve]) for run in runs},
        title="Validation loss against wall time", x="seconds", y="loss (nats per character)",
    )  # fmt: skip
    ratios = training_speed.ratios(runs)
    notes = ["speed and memory: times the peer's, medians over the seeds"]
    compared = Table(ratios, title="Ours beside plain torch", units={"in this share of its time": "ratio"}, notes=notes)
    output.emit(Result({"size": size, "runs": rows, "ratios": ratios}, parts=[compared, Table(rows, title="Runs"), figure]))
