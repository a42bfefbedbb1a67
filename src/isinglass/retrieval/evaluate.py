"""How good retrieval and answers are, on questions whose document and answer are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from isinglass.core.config import Config, build, line_of, read_toml
from isinglass.core.errors import DataError
from isinglass.metrics.retrieval import ndcg, recall, reciprocal_rank
from isinglass.retrieval.answerer import Answerer
from isinglass.retrieval.ask import FITS, Answer, ask
from isinglass.retrieval.index import Found, Index, Way
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table

CUT = 5  # passages that are looked at


class Question(Config):
    """`document` has the answer, in which `answer` stands; both are None for a question that the collection does not answer."""

    text: str
    document: str | None = None
    answer: str | None = None


class _File(Config):
    question: tuple[Question, ...]


def read_questions(file: Path) -> tuple[Question, ...]:
    """The questions of a TOML file. Raises ConfigError with file and line."""
    return build(_File, read_toml(file), place=lambda key: f"{file}:{line_of(file, key[:1]) or 1}").question


@dataclass(frozen=True, eq=False)
class Evaluation(Finding):
    """`found` has for each way and question the passages in order; `answers` those of each question (none where nobody answered)."""

    questions: tuple[Question, ...]
    found: dict[str, list[list[Found]]]
    answers: tuple[Answer, ...]
    fits: float
    command: str | None = None

    def _hits(self, way: str) -> list[list[bool]]:
        """For each question that can be answered: whether each passage is of its document."""
        pairs = zip(self.questions, self.found[way], strict=True)
        return [[one.chunk.source == question.document for one in some] for question, some in pairs if question.document]

    @property
    def retrieval(self) -> Table:
        """A row for each way to search."""
        rows = []
        for way in self.found:
            hits = self._hits(way)
            rows.append(
                {
                    "way": way, "recall_1": recall(hits, 1), f"recall_{CUT}": recall(hits, CUT), "mrr": reciprocal_rank(hits),
                    "ndcg": ndcg(hits, CUT),
                }
            )  # fmt: skip
        notes = [f"{len(self._hits(next(iter(self.found))))} questions; a passage is right when it is of the question's document"]
        units = {"recall_1": "ratio", f"recall_{CUT}": "ratio"}
        return Table(rows, title="Finding", units=units, notes=notes, command=self.command)

    @property
    def answering(self) -> Table:
        """What became of the questions."""
        pairs = list(zip(self.questions, self.answers, strict=True))
        known = [answer for question, answer in pairs if question.document]
        unknown = [answer for question, answer in pairs if not question.document]
        given = [(question, answer) for question, answer in pairs if question.document and not answer.is_refused and answer.fault is None]
        marks = [one for _, answer in given for one in answer.citations]
        right = [(question.answer or "").lower() in answer.text.lower() for question, answer in given]
        cited = [any(one.holds for one in answer.citations) for _, answer in given]
        rows = [
            {"measure": "questions with an answer that got one", "share": _share([not answer.is_refused for answer in known])},
            {"measure": "questions without an answer that were refused", "share": _share([answer.is_refused for answer in unknown])},
            {"measure": "answers in which the known answer stands, word for word", "share": _share(right)},
            {"measure": "answers with a citation that holds", "share": _share(cited)},
            {"measure": "citations of passages that exist", "share": _share([one.exists for one in marks])},
            {
                "measure": "words of cited statements that stand in the passage",
                "share": float(np.mean([one.support for one in marks])) if marks else None,
            },
        ]
        notes = [f"{len(known)} questions with an answer, {len(unknown)} without; refused below a fit of {self.fits:g}"]
        return Table(rows, title="Answering", units={"share": "ratio"}, notes=notes, command=self.command)

    @property
    def figure(self) -> Figure:
        """Recall of each way."""
        from isinglass.show.marks.bars import bars

        series = {f"recall@{cut}": [recall(self._hits(way), cut) for way in self.found] for cut in (1, CUT)}
        return bars(
            list(self.found),
            series,
            title="How often the right document is found",
            axis="recall",
            unit="ratio",
            limit=1.0,
            command=self.command,
        )

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.retrieval, self.figure, *([self.answering] if self.answers else [])]

    @property
    def data(self) -> Any:
        return {
            "retrieval": self.retrieval.rows, "answering": self.answering.rows if self.answers else None,
            "answers": [answer.data for answer in self.answers],
        }  # fmt: skip


def _share(values: Sequence[bool]) -> float | None:
    return float(np.mean(values)) if values else None


def evaluate(
    index: Index,
    questions: Sequence[Question],
    answerer: Answerer | None = None,
    *,
    fits: float = FITS,
    tell: Callable[[int, int], None] = lambda done, total: None,
    command: str | None = None,
) -> Evaluation:
    """Search for every question in every way, and answer it where somebody is given to.

    Raises DataError for a question whose document is not in the index, and without a question that can be answered.
    """
    known = set(index.store.card.documents)
    for question in questions:
        if question.document and question.document not in known:
            raise DataError(
                f"{question.text!r}: no document {question.document!r} in the index", hint="index the folder of these questions"
            )
    if not any(question.document for question in questions):
        raise DataError("no question has a document: there is nothing to find")
    found: dict[str, list[list[Found]]] = {way: [] for way in get_args(Way)}
    answers = []
    for done, question in enumerate(questions, start=1):
        for way, some in found.items():
            some.append(index.search(question.text, CUT, way=way))  # type: ignore[arg-type]
        if answerer is not None:
            answers.append(ask(index, question.text, answerer, fits=fits))
        tell(done, len(questions))
    return Evaluation(tuple(questions), found, tuple(answers), fits, command)
