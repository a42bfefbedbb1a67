"""The data card: what went in, what came out, and why the rest did not."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from isinglass.data.step import Dropped, Outcome
from isinglass.show.showable import Showable
from isinglass.show.table import Table

_SHOWN = 80  # characters of a dropped text
_NUMBERED = re.compile(r":\d+$|\[\d+\]$")


@dataclass
class Tally:
    """Counts outcomes as they go by. `count` counts the tokens of a text; without it there are words and characters only.

    >>> from isinglass.data.records import Record
    >>> from isinglass.data.prepare import prepare
    >>> tally = Tally()
    >>> kept = list(tally.watch(prepare([Record({"text": text}, "a.txt:1") for text in ("one", "one")])))
    >>> tally.reasons
    Counter({'exact_duplicates': 1})
    """

    text_field: str = "text"
    count: Callable[[str], int] | None = None
    sources: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    reasons: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Dropped] = field(default_factory=dict)

    def watch(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """The outcomes, counted as they pass."""
        for outcome in outcomes:
            self.add(outcome)
            yield outcome

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        counts = self.sources[source_of(outcome.record.place)]
        counts["records"] += 1
        if isinstance(outcome, Dropped):
            counts["dropped"] += 1
            self.reasons[outcome.reason] += 1
            self.examples.setdefault(outcome.reason, outcome)
            return
        text = outcome.record.string(self.text_field)
        counts["kept"] += 1
        counts["characters"] += len(text)
        counts["words"] += len(text.split())
        counts["tokens"] += self.count(text) if self.count else 0
        self.changes.update(set(outcome.changes))
        if isinstance(language := outcome.record.fields.get("language"), str):
            self.languages[language] += 1

    def total(self, what: str) -> int:
        """A count over all sources: records, kept, dropped, characters, words or tokens."""
        return sum(counts[what] for counts in self.sources.values())

    def card(self, steps: Sequence[str] = ()) -> DataCard:
        """The card of what was counted so far."""
        parts = [self._sources(), self._reasons(), self._changes(), self._languages()]
        return DataCard(tuple(steps), [part for part in parts if len(part)], self.total("records"), self.total("kept"))

    def _sources(self) -> Table:
        columns = ["records", "kept", "dropped", "characters", "words", *(["tokens"] if self.count else [])]
        rows = [{"source": source, **{column: counts[column] for column in columns}} for source, counts in self.sources.items()]
        if len(rows) > 1:
            rows.append({"source": "all", **{column: self.total(column) for column in columns}})
        return Table(rows, title="Sources", notes=["characters, words and tokens are those of the records kept"])

    def _reasons(self) -> Table:
        total = self.total("records")
        rows = []
        for reason, n in self.reasons.most_common():
            example = self.examples[reason]
            text = " ".join(str(example.record.fields.get(self.text_field, "")).split())
            rows.append(
                {
                    "reason": reason, "records": n, "share": n / total, "for example": example.record.place, "found": example.detail,
                    "text": text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…",
                }
            )  # fmt: skip
        # what was dropped for personal data must not stand on a card for everyone
        rows = [{**row, "text": ""} if row["reason"].startswith("personal_data.") else row for row in rows]
        return Table(rows, title="Dropped, by reason", units={"share": "ratio"} if rows else {})

    def _changes(self) -> Table:
        return Table([{"change": name, "records": n} for name, n in self.changes.most_common()], title="Changed, among those kept")

    def _languages(self) -> Table:
        return Table([{"language": code, "records": n} for code, n in self.languages.most_common()], title="Languages of those kept")


@dataclass(frozen=True)
class DataCard:
    """What a corpus was made of: the steps in order, tables by source, reason, change and language, and the records before and after."""

    steps: tuple[str, ...]
    parts: Sequence[Showable]
    n_records: int
    n_kept: int

    def to_markdown(self, title: str = "Data card") -> str:
        """The card as a Markdown document."""
        lines = [f"# {title}", "", f"{self.n_kept:,} of {self.n_records:,} records kept. A record goes by the first reason it meets."]
        lines += ["", "## Steps", "", *(f"{number}. `{step}`" for number, step in enumerate(self.steps, start=1))] if self.steps else []
        for part in self.parts:
            table = part.data
            if table is not None:
                lines += ["", f"## {part.title}", "", table.to_markdown(), *(f"\n{note}" for note in part.notes)]
        return "\n".join(lines) + "\n"


def source_of(place: str) -> str:
    """The source that a place is in.

    >>> source_of("kjv: Genesis 1:1"), source_of("corpus/a.txt:12"), source_of("alpaca.json[3]")
    ('kjv', 'corpus/a.txt', 'alpaca.json')
    """
    corpus, separator, _ = place.partition(": ")
    return corpus if separator else _NUMBERED.sub("", place)
