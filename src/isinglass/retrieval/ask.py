"""`ask`: a question answered from a collection, with its sources, or refused where nothing fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isinglass.core.errors import EngineError
from isinglass.retrieval.answerer import Answerer
from isinglass.retrieval.citations import Citation, citations
from isinglass.retrieval.index import Found, Index
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table

# Mean over the question's tokens of the nearest token's cosine in the best passage. On the project's sixty questions 96 % of those that the
# collection answers lie above, 90 % of the others below (isinglass rag evaluate).
FITS = 0.52
REFUSAL = "Nothing in the collection fits this question."


@dataclass(frozen=True)
class Answer(Finding):
    """What was answered, from which passages. `fault` is why a model gave no answer; the passages are there all the same."""

    question: str
    text: str
    passages: tuple[Found, ...]
    citations: tuple[Citation, ...]
    is_refused: bool
    fault: EngineError | None = None
    command: str | None = None

    @property
    def said(self) -> str:
        """The answer, or why there is none."""
        return self.text if self.fault is None else f"no answer: {self.fault.message}"

    @property
    def table(self) -> Table:
        """The passages, numbered as they are cited."""
        cited = {citation.number for citation in self.citations}
        rows = [
            {
                "no": number,
                "cited": "yes" if number in cited else "",
                "fit": found.score,
                "source": found.chunk.source,
                "passage": found.chunk.text,
            }
            for number, found in enumerate(self.passages, start=1)
        ]
        return Table(rows, title="Sources", notes=["fit: how well the question's words are met, 0 to 1"], command=self.command)

    @property
    def answer_table(self) -> Table:
        """Question and answer, with what is wrong with its citations."""
        notes = []
        if not self.citations and not self.is_refused and self.fault is None:
            notes.append("the answer names no passage: check it against the sources")
        for one in self.citations:
            if not one.exists:
                notes.append(f"[{one.number}] is no passage")
            elif not one.holds:
                notes.append(f"[{one.number}] has {one.support:.0%} of the statement's words: check it")
        return Table([{"question": self.question, "answer": self.said}], title="Answer", notes=notes, command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.answer_table, self.table]

    @property
    def data(self) -> Any:
        return {
            "question": self.question, "answer": self.text, "refused": self.is_refused,
            "fault": None if self.fault is None else self.fault.message,
            "citations": [{**vars(one), "holds": one.holds} for one in self.citations],
            "passages": [
                {"source": one.chunk.source, "start": one.chunk.start, "end": one.chunk.end, "text": one.chunk.text, "fit": one.score}
                for one in self.passages
            ],
        }  # fmt: skip


def ask(index: Index, question: str, answerer: Answerer, *, n: int = 3, fits: float = FITS, command: str | None = None) -> Answer:
    """Search, and let `answerer` answer from the `n` best passages; refuse where the best one fits less than `fits` (0 never refuses).

    A model that fails leaves the passages: the fault stands in the answer. Raises ConfigError for an empty question and a missing key.
    """
    passages = tuple(index.search(question, n, way="rerank"))
    if not passages or passages[0].score < fits:
        return Answer(question, REFUSAL, passages, (), True, command=command)
    chunks = [found.chunk for found in passages]
    try:
        text = answerer.answer(question, chunks)
    except EngineError as fault:
        return Answer(question, "", passages, (), False, fault, command)
    return Answer(question, text, passages, tuple(citations(text, chunks)), False, command=command)
