"""What a step of preparation is: it looks at a text, and passes it on, perhaps changed, or refuses it with a reason."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from isinglass.data.records import Record


@dataclass(frozen=True)
class Kept:
    """A record that goes on, as the steps left it; `changes` names what was done to it, such as `clean.control_characters`."""

    record: Record
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dropped:
    """A record that was left out: as it was then, why (`quality.word_count`), and in `detail` what was found."""

    record: Record
    reason: str
    detail: str = ""


Outcome = Kept | Dropped


@dataclass(frozen=True)
class Passed:
    """A step's verdict: the text goes on. `fields` are added to its record."""

    text: str
    changes: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A step's verdict: the text is left out, and why."""

    reason: str
    detail: str = ""


Verdict = Passed | Refused


class Item(NamedTuple):
    """A text and where it comes from, as a step over a corpus sees it."""

    place: str
    text: str


class Step(ABC):  # noqa: B024 - its two kinds below have the methods
    """A step of preparation. It sees texts and never records, so that it works for any field of any source."""


class TextStep(Step):
    """Judges each text by itself, so texts can be judged by several processes."""

    @abstractmethod
    def judge(self, text: str) -> Verdict: ...


class CorpusStep(Step):
    """Judges texts by the other texts of the corpus."""

    @abstractmethod
    def sift(self, items: Iterable[Item]) -> Iterator[Verdict]:
        """One verdict for each item, in their order; it may read all items before it gives the first."""
