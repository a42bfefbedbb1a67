"""`isinglass bench`: speed, beside transformers in the same run as ratios, or beside theory."""

from __future__ import annotations

import statistics
from typing import Annotated

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Dtype, Model, Names, at_least, comma_separated, option, verb
from isinglass.show.table import Table

EXAMPLES = (
    "isinglass bench generate",
    "isinglass bench generate smollm2 --dtypes float32 --batches 1 --compile --rounds 3",
    "isinglass bench cache smollm2 --lengths 32,64,128,256",
)
app = verb(
    "bench", EXAMPLES, notes=["transformers runs in the same process, in turn with ours: quote the ratios. It comes with the extra 'test'."]
)
app.command("isinglass.cli.bench_attention:app", name="attention", help="Attention of every kind against the length.")
app.command("isinglass.cli.bench_classification:app", name="classification", help="Ways to fine-tune a classifier.")
app.command("isinglass.cli.bench_fine_tuning:app", name="fine-tuning", help="Strategies and ranks, for every objective.")
app.command("isinglass.cli.bench_inspect:app", name="inspect", help="Looking inside: traces and patching maps.")
app.command("isinglass.cli.bench_train:app", name="train", help="Training beside a plain PyTorch script.")
app.command("isinglass.cli.bench_embed:app", name="embed", help="Word vectors beside gensim.")
app.command("isinglass.cli.bench_rag:app", name="rag", help="Retrieval over 31,099 verses.")
app.command("isinglass.cli.bench_tokenizers:app", name="tokenizers", help="Encoding and training of tokenizers.")
Counts = Annotated[tuple[int, ...], Parameter(converter=comma_separated(int), n_tokens=1, negative=())]


@app.command(name="generate")
def bench_generate(
    model: Model = "smollm2",
    /,
    *,
    dtypes: Annotated[Names, option("Comma-separated.")] = ("float32", "bfloat16"),
    batches: Annotated[Counts, option("Rows per batch, comma-separated.", validator=at_least(1))] = (1, 8),
    compile: Annotated[bool, option("Measure ours compiled as well, at batch 1 (15 to 30 seconds to compile).")] = False,
    tokens: Annotated[int, option("Tokens per row.", validator=at_least(2))] = 32,
    rounds: Annotated[int, option("How often each is measured, in turn.", validator=at_least(1))] = 5,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Tokens per second of greedy generation, and seconds from a new process to its first token."""
    from isinglass.evaluation.speed import Setting, compare_generation, first_token_seconds

    settings = [Setting(dtype, batch) for dtype in dtypes for batch in batches]
    settings += [Setting(dtypes[0], 1, compile=True)] if compile else []
    rows = []
    for measured in compare_generation(model, settings, n_tokens=tokens, rounds=rounds):
        rows.append(measured.row())
        output.say("{dtype} batch {batch} {ours}: {ratio:.2f} x transformers".format(**rows[-1]))
    starts = first_token_seconds(model, 3)
    notes = [f"from a new process to the first token: {statistics.median(starts):.1f} s (median of {len(starts)})"]
    notes.append("ratio: median over rounds of ours / transformers, measured in turn; lowest and highest beside it")
    table = Table(rows, title=f"Greedy generation with {model}, tokens per second", notes=notes)
    output.emit(Result({"model": model, "generation": rows, "first_token_seconds": starts}, parts=[table]))


@app.command(name="cache")
def bench_cache(
    model: Model = "smollm2",
    /,
    *,
    lengths: Annotated[Counts, option("Tokens of the text so far, comma-separated.", validator=at_least(1))] = (16, 32, 64, 128, 256),
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """One more token with the KV cache and without it: seconds, FLOPs and bytes, each beside theory."""
    with output.working(f"loading {model}"):
        from isinglass.evaluation.cache_study import figures, studying, tables
        from isinglass.generation.lm import load

        lm = load(model, dtype=dtype)
    results = []
    for measured in studying(lm, lengths):
        results.append(measured)
        output.say("{length_tokens} tokens: {times_faster:.1f} times faster with the cache".format(**measured.row()))
    parts = [*tables(results), *figures(results)]
    output.emit(Result({"model": model, "dtype": dtype, "lengths": [one.row() for one in results]}, parts=parts))
