"""The same questions with and without retrieval, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isinglass.retrieval.answerer import Answerer
from isinglass.retrieval.ask import FITS, Answer, ask
from isinglass.retrieval.index import Index
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table


@dataclass(frozen=True)
class SideBySide(Finding):
    """`without` are the model's own words, `with_` its answers from passages."""

    questions: tuple[str, ...]
    without: tuple[str, ...]
    with_: tuple[Answer, ...]
    command: str | None = None

    @property
    def table(self) -> Table:
        """A row for each question."""
        rows = [
            {
                "question": question, "without": alone, "with": answer.said,
                "source": answer.passages[0].chunk.source if answer.passages and not answer.is_refused else None,
            }
            for question, alone, answer in zip(self.questions, self.without, self.with_, strict=True)
        ]  # fmt: skip
        return Table(rows, title="Without and with retrieval", command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table]

    @property
    def data(self) -> Any:
        return [{"without": alone, **answer.data} for alone, answer in zip(self.without, self.with_, strict=True)]


def side_by_side(
    index: Index, questions: Sequence[str], answerer: Answerer, *, n: int = 3, fits: float = FITS, command: str | None = None
) -> SideBySide:
    """Each question twice: alone, and with the passages that are found for it."""
    alone = tuple(answerer.answer(question, ()) for question in questions)
    return SideBySide(tuple(questions), alone, tuple(ask(index, question, answerer, n=n, fits=fits) for question in questions), command)
