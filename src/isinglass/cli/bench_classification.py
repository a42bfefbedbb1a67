"""`isinglass bench classification`: ways to fine-tune a classifier side by side, and what keeping activations saves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Model, Names, at_least, option, verb
from isinglass.core.errors import CheckpointError, ConfigError, unknown

if TYPE_CHECKING:
    from isinglass.data.records import Record
    from isinglass.evaluation.cells import Cells
    from isinglass.evaluation.classification_results import Measured
    from isinglass.evaluation.classification_sweep import Plan
    from isinglass.generation.lm import LM

EXAMPLES = (
    "isinglass bench classification --file SMSSpamCollection --out runs/ways",
    "isinglass bench classification smollm2 --file SMSSpamCollection --plans head,last_block --seeds 3",
    "isinglass bench classification --file SMSSpamCollection --plans all --epochs 1 --seeds 1 --out runs/ways",
    "isinglass bench classification --file SMSSpamCollection --plans all --precision bfloat16 --out runs/ways-bf16",
    "isinglass bench classification --file reviews.csv --format csv --columns '' --texts 500 --save ways.html",
)
app = verb(
    "classification",
    EXAMPLES,
    notes=[
        "The file of the UCI SMS Spam Collection is read as it is: tab-separated, label and text, no heading. Classes are balanced first,",
        "then split 70/10/20. head, last_block and last_two_blocks take minutes on a laptop, all others read every text in each epoch.",
        "With --out each run is kept when it is done: after Ctrl-C the same command goes on with the others.",
    ],
)
_PLANS = ("head", "last_block", "last_two_blocks")


@app.default
def bench_classification(
    model: Model = "smollm2",
    /,
    *,
    file: Annotated[Path, option("Labelled texts, with the fields text and label.")],
    out: Annotated[Path | None, option("The folder in which each run is kept; those that are there are not done again.")] = None,
    format: Annotated[str, option("txt, jsonl, csv, tsv or json.")] = "tsv",
    columns: Annotated[Names, option("Comma-separated names of columns, for a file without a heading.")] = ("label", "text"),
    plans: Annotated[Names, option("Comma-separated: what trains, such as last_block or 'all + lora'.")] = _PLANS,
    seeds: Annotated[int, option("How many; each draws split, head and order.", validator=at_least(1))] = 5,
    epochs: Annotated[Names, option("Of every plan (5), or of some (head=10,all=1); without it, each plan's own.")] = (),
    precision: Annotated[
        Literal["float32", "bfloat16"], option("bfloat16: products in half the bits; faster where the processor has them.")
    ] = "float32",
    texts: Annotated[int | None, option("Of each class at most so many; as many as the rarest has.", validator=at_least(10))] = None,
    reuse_texts: Annotated[
        int, option("Texts with which keeping activations is timed against not keeping them; 0: not at all.", validator=at_least(0))
    ] = 160,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Accuracy, F1, trained parameters, seconds and memory of ways to fine-tune a classifier, beside its baselines."""
    with output.working(f"loading {model}"):
        from isinglass.data.sources import read
        from isinglass.evaluation.classification import balanced, sample
        from isinglass.generation.lm import load

        chosen = _chosen(plans, epochs, precision)
        records = balanced(list(read(file, format=format, columns=tuple(filter(None, columns)) or None)))
        records = records if texts is None else sample(records, texts)
        cells = None if out is None else _cells(out, model, precision, records)
        measured = [] if cells is None else _done(cells)
        lm = load(model)
    gains: list[dict[str, Any]] = []
    try:
        _measure(lm, records, chosen, range(seeds), measured, cells, output)
        if reuse_texts:
            from isinglass.evaluation.classification_sweep import PLANS, reuse_gain

            gains.append(reuse_gain(lm, sample(records, reuse_texts // 2), PLANS["last_block"]).row())
    finally:
        # after Ctrl-C or a failure, too: what is done is shown
        if measured:
            output.emit(_result(model, measured, chosen, range(seeds), gains, reuse_texts))


def _measure(
    lm: LM, records: Sequence[Record], chosen: dict[str, Plan], seeds: range, measured: list[Measured], cells: Cells | None, output: Output
) -> None:
    """Do what is not done, and keep each run when it is."""
    from dataclasses import asdict

    from isinglass.evaluation.classification_sweep import missing, sweep

    done = {one.name for one in measured}
    left = missing(chosen, seeds, done)
    output.say(f"{len(records):,} texts, {len(left)} of {len(chosen) * len(seeds)} runs to do")
    if not left:
        return
    output.say("what the blocks below the trained ones make of the texts is computed first")
    for one in sweep(lm, records, chosen, seeds, done):
        if cells is not None:
            cells.keep(one.name, asdict(one))
        measured.append(one)
        beside = f"TF-IDF {100 * one.tfidf_accuracy:.2f} %"
        output.say(f"{one.plan}, seed {one.seed}: test {100 * one.test_accuracy:.2f} % in {one.seconds:.0f} s ({beside})")


def _result(
    model: str, measured: Sequence[Measured], chosen: dict[str, Plan], seeds: range, gains: Sequence[dict[str, Any]], reuse_texts: int
) -> Result:
    from dataclasses import asdict

    from isinglass.evaluation.classification_results import figure, summary
    from isinglass.evaluation.classification_sweep import missing
    from isinglass.show.table import Table

    left = missing(chosen, seeds, {one.name for one in measured})
    parts = [summary(measured, left), figure(measured), Table([asdict(one) for one in measured], title="Every run")]
    if gains:
        note = f"last_block, {reuse_texts} texts, a fifth of them held out"
        parts.append(Table(gains, title="Activations of lower blocks kept over the epochs, or not", notes=[note]))
    return Result({"model": model, "runs": [asdict(one) for one in measured], "missing": left, "reuse": list(gains)}, parts=parts)


def _chosen(plans: Sequence[str], epochs: Sequence[str], precision: str) -> dict[str, Plan]:
    """The plans by name, with the epochs and the precision that were asked for."""
    from dataclasses import replace

    from isinglass.evaluation.classification_sweep import PLANS

    for name in plans:
        if name not in PLANS:
            raise unknown("plan", name, PLANS, where="--plans")
    asked = dict(_epochs(one, plans) for one in epochs)
    return {name: replace(PLANS[name], epochs=asked.get(name, asked.get("", PLANS[name].epochs)), precision=precision) for name in plans}


def _epochs(given: str, plans: Sequence[str]) -> tuple[str, float]:
    """The plan (empty: all others) and the number of one part of --epochs."""
    plan, _, number = (part.strip() for part in given.rpartition("="))
    if plan and plan not in plans:
        raise unknown("plan", plan, plans, where="--epochs")
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"--epochs: {number!r} is no number above 0", hint="--epochs 5, or --epochs head=10,all=1")
    return plan, value


def _cells(out: Path, model: str, precision: str, records: Sequence[Record]) -> Cells:
    """The folder of a comparison: one model and precision, and texts that are told from others by a hash."""
    import hashlib

    from isinglass.evaluation.cells import Cells

    content = "\n".join(f"{record['label']}\t{record.text}" for record in records)
    sha256 = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    return Cells(out, {"model": model, "precision": precision, "texts": len(records), "sha256": sha256})


def _done(cells: Cells) -> list[Measured]:
    from isinglass.evaluation.classification_results import Measured

    try:
        return [Measured(**values) for values in cells.read().values()]
    except TypeError as fault:
        raise CheckpointError(f"a result in {str(cells.folder)!r} is of another version: {fault}", hint="name another folder") from None
