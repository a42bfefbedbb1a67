"""`isinglass rag evaluate`: how good finding and answering are."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.rag import By, EndpointUrl, Fits, Key, Place, Timeout, answerer, options
from isinglass.cli.verb import option, verb

EXAMPLES = ("isinglass rag evaluate runs/tidewell", "isinglass rag evaluate runs/notes --questions questions.toml --by smollm2")
app = verb(
    "evaluate",
    EXAMPLES,
    notes=["A file of questions: [[question]] with text, document and answer; without the latter two nothing answers it."],
)


@app.default
def rag_evaluate(
    place: Place,
    /,
    *,
    questions: Annotated[Path | None, option("Questions in TOML; without it, those of the project's own collection.")] = None,
    by: By = "extract",
    endpoint: EndpointUrl = None,
    key: Key = "OPENAI_API_KEY",
    timeout: Timeout = 30.0,
    fits: Fits = 0.52,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Recall, MRR and nDCG of each way to search; refusals, citations and answers."""
    with output.working("reading the index"):
        from isinglass.retrieval.documents import COLLECTION
        from isinglass.retrieval.evaluate import evaluate, read_questions
        from isinglass.retrieval.index import open_index

        asked = read_questions(questions or COLLECTION / "questions.toml")
        index = open_index(place)
        who = answerer(index, by, endpoint, key, timeout)
    command = f"isinglass rag evaluate {shlex.quote(place)}" + (f" --questions {shlex.quote(str(questions))}" if questions else "")
    command += options(by, endpoint, fits)

    def tell(done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            output.say(f"{done} of {total} questions")

    output.emit(Result.of(evaluate(index, asked, who, fits=fits, tell=tell, command=command)))
