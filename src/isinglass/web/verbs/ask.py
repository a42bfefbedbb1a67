"""A question to documents: the answer with its sources or a refusal, the model's own words beside it, and the ranking of the passages."""

from __future__ import annotations

import shlex
import time
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from isinglass.core.errors import ConfigError, EngineError
from isinglass.web import documents
from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown, Working
from isinglass.web.verb import Verb

if TYPE_CHECKING:
    from isinglass.generation.lm import LM
    from isinglass.retrieval.ask import Answer
    from isinglass.retrieval.chunk import Chunk
    from isinglass.retrieval.index import Found, Index
    from isinglass.show.showable import Showable

RANKED = 10  # passages of the ranking
_CANDIDATES = 30  # of each search alone
TOKENS = 96  # of an answer, as on the command line
_FITS = 0.52  # `retrieval.ask.FITS`, which is not imported here: the server imports this module, and it needs torch
_TOLD = 10  # files that were left out
_TELLING_SECONDS = 0.1


class Request(Verb):
    """`documents` is a folder, empty: the project's own collection. `by`: `extract`, the best sentence itself, or `model`, a chat model.
    `alone`: what the model says without documents, beside it. Where the best passage fits less than `fits`, the answer is refused.
    """

    text: str
    model: str
    documents: str = ""
    by: Literal["extract", "model"] = "extract"
    alone: bool = True
    passages: int = Field(default=3, ge=1, le=RANKED)
    fits: float = Field(default=_FITS, ge=0, le=1)

    @property
    def _place(self) -> str:
        return str(documents.place(self.documents))

    @property
    def python(self) -> str:
        who = "Extract(index.lm)" if self.by == "extract" else f"Local(ig.load({self.model!r}))"
        told = ("" if self.passages == 3 else f", n={self.passages}") + ("" if self.fits == _FITS else f", fits={self.fits:g}")
        return (
            "import isinglass as ig\nfrom isinglass.retrieval.answerer import Extract, Local\nfrom isinglass.retrieval.ask import ask\n"
            f"from isinglass.retrieval.index import open_index\n\nindex = open_index({self._place!r})\n"
            f"index.search({self.text!r}, {RANKED}, way='rerank')\nask(index, {self.text!r}, {who}{told})"
        )

    @property
    def command(self) -> str:
        return self._command(self.passages)

    def _command(self, passages: int) -> str:
        told = [*(["--by", self.model] if self.by == "model" else []), *([] if passages == 3 else [f"--passages={passages}"])]
        told += [] if self.fits == _FITS else [f"--fits={self.fits:g}"]
        end = ["--"] if self.text.startswith("-") else []
        return shlex.join(["isinglass", "rag", "ask", *told, *end, self._place, self.text])

    def run(self, bench: Bench) -> Iterator[Event]:
        if not self.text.strip():
            raise ConfigError("the question is empty", hint="How long is the warranty on the heating element?")
        held = yield from documents.opened(bench, self.documents)
        yield Working("searching")
        index = held.index
        found = index.search(self.text, RANKED, way="rerank")
        yield Shown(data=self._board(held), slot="board")
        yield from self._answered(bench, index, found)
        yield Shown(self._ranking(index, found), slot="ranking")
        if self.alone:
            yield from self._said_alone(bench)

    def _board(self, held: documents.Opened) -> dict[str, Any]:
        card = held.index.store.card
        return {
            "question": self.text, "by": self.model if self.by == "model" else "", "alone": self.model if self.alone else "",
            "documents": len(card.documents), "passages": card.passages,
            "skipped": [vars(one) for one in held.skipped[:_TOLD]], "n_skipped": len(held.skipped),
        }  # fmt: skip

    def _answered(self, bench: Bench, index: Index, found: Sequence[Found]) -> Iterator[Event]:
        """The answer, while it is written; then the same with its citations checked."""
        from isinglass.retrieval.answerer import Extract
        from isinglass.retrieval.ask import Answer, ask
        from isinglass.retrieval.citations import citations

        passages = tuple(found[: self.passages])
        fitting = bool(passages) and passages[0].score >= self.fits
        if self.by == "extract" or not fitting:
            yield self._said(ask(index, self.text, Extract(index.lm), n=self.passages, fits=self.fits, command=self.command))
            return
        text, fault, chunks = "", None, [one.chunk for one in passages]
        yield self._said(Answer(self.text, "", passages, (), False, command=self.command), pending=True)  # to be read meanwhile
        try:
            text = yield from self._written(bench, chunks, "writing")
        except EngineError as error:
            fault = error
        yield self._said(Answer(self.text, text, passages, tuple(citations(text, chunks)), False, fault, self.command))

    def _said(self, answer: Answer, *, pending: bool = False) -> Shown:
        hint = "" if answer.fault is None else answer.fault.hint
        best = answer.passages[0].score if answer.passages else 0.0
        return Shown([answer.table], {**answer.data, "hint": hint, "fits": self.fits, "best": best, "pending": pending}, slot="answer")

    def _said_alone(self, bench: Bench) -> Iterator[Event]:
        """The model's own words, without documents. A model that is no chat model says so in its place."""
        try:
            text = yield from self._written(bench, (), "alone")
            yield Shown(data={"text": text, "ended": True}, slot="alone")
        except EngineError as error:
            yield Shown(data={"fault": error.message, "hint": error.hint, "ended": True}, slot="alone")

    def _written(self, bench: Bench, chunks: Sequence[Chunk], slot: str) -> Generator[Event, None, str]:
        """What the chat model writes, shown now and then; at last all of it."""
        from isinglass.generation.chat import replying
        from isinglass.retrieval.prompt import messages

        lm: LM = yield from bench.model(self.model)
        yield Working(f"{self.model} reads {len(chunks)} passages" if chunks else f"{self.model} answers without documents")
        text, told = "", time.perf_counter()
        for event in replying(lm, messages(self.text, chunks), max_tokens=TOKENS):
            text += event.text
            if time.perf_counter() - told > _TELLING_SECONDS:
                yield Shown(data={"text": text.strip(), "ended": False}, slot=slot)
                yield Working(f"{self.model} writes")
                told = time.perf_counter()
        return text.strip()

    def _ranking(self, index: Index, found: Sequence[Found]) -> Sequence[Showable]:
        """The passages in their order, with their places in the two searches that were joined."""
        from isinglass.show.marks.bars import bars
        from isinglass.show.table import Table

        ways = {way: [one.chunk.number for one in index.search(self.text, _CANDIDATES, way=way)] for way in ("dense", "words")}
        rows = [
            {
                "rank": rank, "fit": one.score, "cosine": one.cosine,
                "by meaning": _rank(ways["dense"], one.chunk.number), "by words": _rank(ways["words"], one.chunk.number),
                "source": one.chunk.source, "characters": f"{one.chunk.start} to {one.chunk.end}",
            }
            for rank, one in enumerate(found, start=1)
        ]  # fmt: skip
        command = self._command(RANKED)
        notes = [
            f"fit: how well each token of the question is met by one of the passage; the best one needs {self.fits:g} for an answer",
            f"by meaning, by words: the rank in each search alone; none where the passage is not among the first {_CANDIDATES}",
        ]
        scores = {name: [row[name] for row in rows] for name in ("fit", "cosine")}
        names = [f"{row['rank']} {row['source']}" for row in rows]
        drawn = bars(names, scores, title="How well the passages fit the question", axis="score", command=command)
        return [drawn, Table(rows, title="How the passages rank", notes=notes, command=command)]


def _rank(order: Sequence[int], number: int) -> int | None:
    return order.index(number) + 1 if number in order else None
