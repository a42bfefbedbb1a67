"""`isinglass inspect patch`: which activations of a clean run bring its answer back into a corrupted one."""

from __future__ import annotations

import shlex
from typing import Annotated

from cyclopts import Parameter

from isinglass.cli.output import Output, Result
from isinglass.cli.texts import Text, read_text
from isinglass.cli.verb import Dtype, Model, option, verb
from isinglass.core.errors import unknown

EXAMPLES = (
    'isinglass inspect patch smollm2 "The capital of France is" "The capital of Italy is" --answer " Paris" --other " Rome"',
    'isinglass inspect patch smollm2 "The capital of France is" "The capital of Italy is" --answer " Paris" --what heads --save heads.png',
    'isinglass inspect patch smollm2 "The capital of France is" "The capital of Italy is" --answer " Paris" --method both --json',
)
METHODS = ("exact", "attribution", "both")
app = verb(
    "patch",
    EXAMPLES,
    notes=[
        "Effect 0 is the corrupted run, 1 the clean one. Both texts need the same number of tokens.",
        "--what by position: resid_pre resid_mid resid_post attention.out mlp.pre mlp.post;",
        "by head: heads (attention.z), attention.q attention.k attention.v. Ctrl-C keeps the cells that are done.",
    ],
)


@app.default
def inspect_patch(
    model: Model,
    clean: Text,
    corrupted: Annotated[str, Parameter(help="A text of as many tokens, with another answer.", allow_leading_hyphen=True)],
    /,
    *,
    answer: Annotated[str | None, option("One token, often with its space. None: the likeliest after the clean text.")] = None,
    other: Annotated[str | None, option("Another token: the logit difference of the two is asked for.")] = None,
    metric: Annotated[str | None, option("logit, difference or probability.")] = None,
    what: Annotated[str, option("What is put from one run into the other.")] = "resid_pre",
    method: Annotated[str, option("exact, attribution (an estimate, at once) or both.")] = "exact",
    reverse: Annotated[bool, option("Put corrupted activations into the clean run instead.")] = False,
    side: Annotated[str | None, option("Of an encoder-decoder: decoder or encoder.")] = None,
    target: Annotated[str | None, option("What an encoder-decoder has written so far.")] = None,
    at: Annotated[int | None, option("The position that is asked. None: the last, of an encoder that of its mask token.")] = None,
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Patch activations from a clean run into a corrupted one."""
    if method not in METHODS:
        raise unknown("method", method, METHODS, where="--method")
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.inspection.contrast import contrast
        from isinglass.inspection.patch_maps import BothMaps
        from isinglass.inspection.patching import CellsDone, collected, estimated, patching, plan
        from isinglass.show.terminal import progress

        lm = load(model, dtype=dtype)
    texts = read_text(clean), corrupted
    tap = "attention.z" if what == "heads" else what
    with output.working("reading both texts"):
        pair = contrast(lm, *texts, answer=answer, other=other, metric=metric, target=target, at=at)  # type: ignore[arg-type]
        given = plan(pair, tap, "noise" if reverse else "denoise", side)
    options = {"answer": answer, "other": other, "metric": metric, "what": what, "method": method, "side": side, "target": target, "at": at}
    stated = [f"--{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    quoted = [shlex.quote(each) for each in (model, *texts)]
    command = " ".join(["isinglass inspect patch", *quoted, *stated, *(["--reverse"] if reverse else [])])
    estimate = given.result(estimated(given), "attribution", command) if method != "exact" else None
    if method == "attribution" and estimate is not None:
        output.emit(Result({"model": model, **estimate.data}, estimate.parts))
        return
    events: list[CellsDone] = []
    stopped: KeyboardInterrupt | None = None
    total = given.shape[0] * given.shape[1]
    with progress(f"patching {total} cells", total, console=output.talk()) as advance:
        try:
            for event in patching(given):
                events.append(event)
                advance(len(event.cells))
        except KeyboardInterrupt as pressed:
            stopped = pressed
    exact = collected(given, events, command)
    found = exact if estimate is None else BothMaps(exact, estimate)
    if events:
        output.emit(Result({"model": model, **found.data}, found.parts))
    if stopped is not None:
        raise stopped
