"""`isinglass inspect heads`: what kind of head each head is; and what heads do on different kinds of text."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import read_file, read_text
from isinglass.cli.verb import Dtype, Model, at_least, option, verb

EXAMPLES = (
    "isinglass inspect heads smollm2 --by induction --save heads.html",
    'isinglass inspect heads smollm2 "A text of your own" "and another" --by to_previous --top 5',
    "isinglass inspect heads minilm --file notes.txt --window 2 --json",
    "isinglass inspect heads smollm2 --compare",
    "isinglass inspect heads smollm2 --compare --file story.txt --file program.py",
)
app = verb(
    "heads",
    EXAMPLES,
    notes=[
        "Without a text: narrative, code and poetry that come with the package.",
        "--by: induction duplicate to_previous to_first to_itself local duplicate_in_text induction_in_text entropy distance;",
        "the definitions are printed with the result. A saved page has all heads in one table that can be sorted.",
    ],
)


@app.default
def inspect_heads(
    model: Model,
    /,
    *texts: Annotated[str, Parameter(help="Texts; - reads stdin. None: three samples of the package.", show_default=False)],
    file: Annotated[tuple[Path, ...], option("A UTF-8 text file; may be given several times.", n_tokens=1)] = (),
    by: Annotated[str, option("The statistic that heads are sorted and coloured by.")] = "induction",
    window: Annotated[int, option("The reach of local heads, in tokens.", validator=at_least(1))] = 4,
    seed: Annotated[int, option("Of the random tokens.", validator=at_least(0))] = 0,
    top: Annotated[int, option("Heads listed in the terminal; files and --json hold all.", validator=at_least(1))] = 15,
    compare: Annotated[bool, option("One row per text instead: entropy, distance and the shares of head kinds.")] = False,
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Statistics of all heads: induction, previous token, sink, ..."""
    given = {f"text {number}": read_text(text) for number, text in enumerate(texts, start=1)}
    given |= {str(path): read_file(path) for path in file}
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.inspection.head_comparison import compare_heads, samples
        from isinglass.inspection.heads import heads

        lm = load(model, dtype=dtype)
    named = given or samples()
    parts = [*map(shlex.quote, texts), *(f"--file {shlex.quote(str(path))}" for path in file), f"--window {window}"]
    begin = " ".join(["isinglass inspect heads", shlex.quote(model), *parts])
    with output.working(f"reading {len(named)} texts"):
        if compare:
            compared = compare_heads(lm, named, window=window, command=f"{begin} --compare")
            output.emit(Result({"model": model, **compared.data}, compared.parts))
            return
        found = heads(lm, list(named.values()), by=by, window=window, seed=seed, command=f"{begin} --by {by} --seed {seed}")
    if not output.json:
        print("\n\n".join(part.to_terminal() for part in found.summary(top)))
    output.emit(Result({"model": model, **found.data}, found.parts), printed=True)
