"""`isinglass bench attention`: what each kind of attention costs against the length, measured beside predicted."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Names, at_least, comma_separated, option, verb
from isinglass.core.errors import unknown

EXAMPLES = (
    "isinglass bench attention",
    "isinglass bench attention --kinds full,linear --lengths 256,512,1024 --save attention.html",
)
app = verb("attention", EXAMPLES)
Counts = Annotated[tuple[int, ...], Parameter(converter=comma_separated(int), n_tokens=1, negative=())]
LENGTHS = (256, 512, 1024, 2048, 4096, 8192)


@app.default
def bench_attention(
    *,
    kinds: Annotated[Names, option("Comma-separated: full, sdpa, flash, sliding window, linear, recurrent.")] = (),
    lengths: Annotated[Counts, option("Tokens, comma-separated.", validator=at_least(2))] = LENGTHS,
    heads: Annotated[int, option("Heads of 64 features.", validator=at_least(1))] = 2,
    rounds: Annotated[int, option("How often each is timed; the median counts.", validator=at_least(1))] = 3,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Seconds, FLOPs, extra memory and KV bytes of every kind of attention, with the fitted power of the length.

    Full attention at 8,192 tokens and 2 heads writes several matrices of 0.5 GB.
    """
    from isinglass.evaluation.attention_costs import KINDS, measuring, rows, summary
    from isinglass.nn.attention.dims import Dims
    from isinglass.show.marks.lines import lines
    from isinglass.show.showable import Showable
    from isinglass.show.table import Table

    for kind in kinds:
        if kind not in KINDS:
            raise unknown("kind of attention", kind, KINDS, where="--kinds")
    dims = Dims(d_model=64 * heads, n_heads=heads, n_kv_heads=heads, d_head=64, context_length=max(lengths))
    costs = []
    for cost in measuring(kinds or tuple(KINDS), sorted(lengths), dims=dims, rounds=rounds):
        costs.append(cost)
        output.say(f"{cost.kind}, {cost.length:,} tokens: {cost.time_seconds:.3g} s, {cost.extra_bytes / 1e6:.1f} MB")
    fitted = summary(costs)
    note = f"{heads} heads of 64, batch 1, fp32, forward; powers by least squares of the logarithms, {len(set(lengths))} lengths"
    parts: list[Showable] = [
        Table(fitted, title="Powers of the length with which attention grows", notes=[note]),
        Table(rows(costs), title="Every measurement"),
    ]
    names = list(dict.fromkeys(cost.kind for cost in costs))
    for title, unit, values in (
        ("Time of one attention layer", "seconds", lambda cost: cost.time_seconds),
        ("Memory beyond the inputs", "MB", lambda cost: cost.extra_bytes / 1e6),
    ):
        curves = {name: ([c.length for c in costs if c.kind == name], [values(c) for c in costs if c.kind == name]) for name in names}
        parts.append(lines(curves, title=title, x="tokens", y=unit, x_scale="log", y_scale="log", notes=[note]))
    output.emit(Result({"fitted": fitted, "costs": rows(costs)}, parts=parts))
