"""`isinglass bench rag`: retrieval over 31,099 verses."""

from __future__ import annotations

import tempfile
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import at_least, option, verb

EXAMPLES = ("isinglass bench rag --verses 2000 --questions 200", "isinglass bench rag --save rag.html")
app = verb("rag", EXAMPLES, notes=["The index is written to a temporary folder. All verses take some minutes."])


@app.default
def bench_rag(
    *,
    verses: Annotated[int | None, option("The first so many; without it, all 31,099.", validator=at_least(10))] = None,
    questions: Annotated[int, option("Older verses that are searched for.", validator=at_least(1))] = 500,
    seed: Annotated[int, option("Of the draw.")] = 0,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """King James verses search for their modern twins: how often they find them, how long it takes, and how much memory."""
    from isinglass.retrieval.verses import search_verses

    command = "isinglass bench rag" + (f" --verses {verses}" if verses else "") + f" --questions {questions} --seed {seed}"
    with tempfile.TemporaryDirectory() as folder:
        found = search_verses(folder, verses=verses, questions=questions, seed=seed, tell=output.say, command=command)
    output.emit(Result.of(found))
