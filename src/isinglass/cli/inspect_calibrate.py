"""`isinglass inspect calibrate`: is the model right as often as it is sure? On a text, and on questions."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import Dtype, Model, at_least, option, verb

EXAMPLES = (
    "isinglass inspect calibrate smollm2",
    "isinglass inspect calibrate smollm2 --text report.txt --passages 16",
    "isinglass inspect calibrate smollm2 --questions own.toml --save calibration.html",
)
app = verb(
    "calibrate",
    EXAMPLES,
    notes=[
        "Text: every other passage fits one temperature, the rest are measured before and after it. Questions: a file has a table",
        'per kind, [fact], then lines "The capital of Italy is" = ["Rome"]; an empty list where no answer is right. 45 s with smollm2.',
    ],
)


@app.default
def inspect_calibrate(
    model: Model,
    /,
    *,
    text: Annotated[str, option("A text file, or a corpus by name: kjv, web.")] = "kjv",
    questions: Annotated[Path | None, option("A TOML file instead of the questions that come with the package.")] = None,
    passages: Annotated[int, option("Stretches of the text, evenly spread.", validator=at_least(2))] = 8,
    tokens: Annotated[int, option("Of each passage.", validator=at_least(2))] = 64,
    bins: Annotated[int, option("Of the reliability diagrams.", validator=at_least(1))] = 10,
    dtype: Dtype = "float32",
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Confidence against correctness: reliability, calibration error, risk against coverage; doubt where nothing is right."""
    with output.working(f"reading {text}, loading {model}"):
        from isinglass.data.sources import read
        from isinglass.generation.lm import load
        from isinglass.inspection.calibrate import calibrate_quiz, calibrate_text
        from isinglass.inspection.quiz import read_quiz

        items = read_quiz(questions)
        whole = "\n".join(record.text for record in read(text, unit="file", format=_format(text)))
        lm = load(model, dtype=dtype)
    command = f"isinglass inspect calibrate {shlex.quote(model)} --text {shlex.quote(text)} --passages {passages} --tokens {tokens}"
    command += f" --bins {bins}" + (f" --questions {shlex.quote(str(questions))}" if questions else "")
    on_text = calibrate_text(
        lm, whole, n_passages=passages, passage_tokens=tokens, n_bins=bins, progress=_progress(output, "passages"), command=command
    )  # fmt: skip
    on_questions = calibrate_quiz(lm, items, n_bins=bins, progress=_progress(output, f"of {len(items)} questions"), command=command)
    data: dict[str, Any] = {"model": model, "text": {"source": text, **on_text.data}, "questions": on_questions.data}
    output.emit(Result(data, [*on_text.parts, *on_questions.parts]))


def _progress(output: Output, what: str) -> Any:
    done = []

    def report(count: int) -> None:
        done.append(count)
        output.say(f"{sum(done)} {what}")

    return report


def _format(text: str) -> str | None:
    """A file of whatever suffix is text; a corpus by name has none."""
    return "txt" if Path(text).is_file() else None
