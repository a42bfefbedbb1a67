"""`isinglass bench classification`: ways to fine-tune a classifier side by side, and what keeping activations saves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Model, Names, at_least, option, verb
from isinglass.core.errors import unknown

EXAMPLES = (
    "isinglass bench classification --file SMSSpamCollection",
    "isinglass bench classification smollm2 --file SMSSpamCollection --plans head,last_block --seeds 3",
    "isinglass bench classification --file reviews.csv --format csv --columns '' --texts 500 --save ways.html",
)
app = verb(
    "classification",
    EXAMPLES,
    notes=[
        "The file of the UCI SMS Spam Collection is read as it is: tab-separated, label and text, no heading. Classes are balanced first,",
        "then split 70/10/20. head, last_block and last_two_blocks take minutes on a laptop, all others read every text in each epoch.",
    ],
)
_PLANS = ("head", "last_block", "last_two_blocks")


@app.default
def bench_classification(
    model: Model = "smollm2",
    /,
    *,
    file: Annotated[Path, option("Labelled texts, with the fields text and label.")],
    format: Annotated[str, option("txt, jsonl, csv, tsv or json.")] = "tsv",
    columns: Annotated[Names, option("Comma-separated names of columns, for a file without a heading.")] = ("label", "text"),
    plans: Annotated[Names, option("Comma-separated: what trains, such as last_block or 'all + lora'.")] = _PLANS,
    seeds: Annotated[int, option("How many; each draws split, head and order.", validator=at_least(1))] = 5,
    texts: Annotated[int | None, option("Of each class at most so many; as many as the rarest has.", validator=at_least(10))] = None,
    reuse_texts: Annotated[
        int, option("Texts with which keeping activations is timed against not keeping them; 0: not at all.", validator=at_least(0))
    ] = 160,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Accuracy, trained parameters, seconds and memory of ways to fine-tune a classifier, beside TF-IDF with logistic regression."""
    with output.working(f"loading {model}"):
        from dataclasses import asdict

        from isinglass.data.sources import read
        from isinglass.evaluation.classification import balanced, sample
        from isinglass.evaluation.classification_sweep import PLANS, figure, reuse_gain, summary, sweep
        from isinglass.generation.lm import load
        from isinglass.show.table import Table

        for name in plans:
            if name not in PLANS:
                raise unknown("plan", name, PLANS, where="--plans")
        records = balanced(list(read(file, format=format, columns=tuple(filter(None, columns)) or None)))
        records = records if texts is None else sample(records, texts)
        lm = load(model)
    measured = []
    output.say(f"{len(records):,} texts; what the lower blocks make of them is computed first")
    for one in sweep(lm, records, {name: PLANS[name] for name in plans}, range(seeds)):
        measured.append(one)
        beside = f"TF-IDF {100 * one.tfidf_accuracy:.2f} %"
        output.say(f"{one.plan}, seed {one.seed}: test {100 * one.test_accuracy:.2f} % in {one.seconds:.0f} s ({beside})")
    parts = [summary(measured), figure(measured), Table([asdict(one) for one in measured], title="Every run")]
    gains = []
    if reuse_texts:
        gains = [reuse_gain(lm, sample(records, reuse_texts // 2), PLANS["last_block"]).row()]
        note = f"last_block, {reuse_texts} texts, a fifth of them held out"
        parts.append(Table(gains, title="Activations of lower blocks kept over the epochs, or not", notes=[note]))
    output.emit(Result({"model": model, "runs": [asdict(one) for one in measured], "reuse": gains}, parts=parts))
