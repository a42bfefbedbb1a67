"""Number: a value the book publishes, and how to compute ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from isinglass.core.errors import DataError
from isinglass.studies.topics import chosen
from isinglass.studies.topics import topics as topics_of

Value = int | float | str | Sequence["Value"]
Verdict = Literal["equal", "differs", "needs data"]
_TOPICS = "isinglass.studies.book_numbers.topics"


@dataclass(frozen=True, kw_only=True)
class Number:
    """`theirs` is what `chapter` publishes, floats with `digits` decimals; `measure` computes ours, from the user's `file` where it
    needs one; `shown_by` is a command or a source file; `note` says why ours differs, or how it was made the same.
    """

    chapter: str
    what: str
    theirs: Value
    measure: Callable[..., Value]  # of nothing, or of the path of `file`
    shown_by: str
    digits: int = 4
    file: str = ""
    note: str = ""


@dataclass(frozen=True)
class Checked:
    """A number with ours; `ours` is None where the user's file is missing."""

    topic: str
    number: Number
    ours: Value | None

    @property
    def verdict(self) -> Verdict:
        if self.ours is None:
            return "needs data"
        return "equal" if equal(self.number.theirs, self.ours, self.number.digits) else "differs"

    def row(self) -> dict[str, Any]:
        number = self.number
        return {
            "topic": self.topic,
            "chapter": number.chapter,
            "what": number.what,
            "theirs": shown(number.theirs, number.digits),
            "ours": f"--data with {number.file}" if self.ours is None else shown(self.ours, number.digits),
            "verdict": self.verdict,
            "note": number.note,
            "shown by": number.shown_by,
        }


def equal(theirs: Value, ours: Value, digits: int) -> bool:
    """Whether ours is theirs in all published decimals; whole numbers and texts must be the same.

    >>> equal([10.981, 3], [10.98111, 3], 3), equal(10.981, 10.9822, 3)
    (True, False)
    """
    if isinstance(theirs, float) and isinstance(ours, float):
        return abs(theirs - ours) <= 0.501 * 10**-digits  # half of the last decimal, and the rounding of 0.5 itself
    if isinstance(theirs, str) or isinstance(ours, str) or not (isinstance(theirs, Sequence) and isinstance(ours, Sequence)):
        return type(theirs) is type(ours) and theirs == ours
    return len(theirs) == len(ours) and all(equal(one, other, digits) for one, other in zip(theirs, ours, strict=True))


def shown(value: Value, digits: int) -> str:
    """A value as the book would print it.

    >>> shown(163009536, 0), shown([[0.5, 1.0]], 2)
    ('163,009,536', '[[0.50 1.00]]')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return "[" + " ".join(str(one) if isinstance(one, int) else shown(one, digits) for one in value) + "]"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def topics() -> list[str]:
    """The names of the topics, which are the files of the folder."""
    return topics_of(_TOPICS)


def checking(only: Sequence[str] = (), data: Path | None = None) -> Iterator[Checked]:
    """Compute every number, or those of the named topics; `data` is the folder of the user's files.

    Raises ConfigError for an unknown topic, DataError for a folder that is none, AssetError for a missing vocabulary.
    """
    if data is not None and not data.is_dir():
        raise DataError(f"no folder {str(data)!r}", hint="give the folder that holds the-verdict.txt, sms_spam.tsv, instruction-data.json")
    for topic, module in chosen(_TOPICS, only):
        for number in module.numbers():
            yield check(topic, number, data)


def check(topic: str, number: Number, data: Path | None) -> Checked:
    """Compute one number; one whose file is not in the folder is left open."""
    if not number.file:
        return Checked(topic, number, number.measure())
    path = None if data is None else data / number.file
    return Checked(topic, number, number.measure(path) if path is not None and path.is_file() else None)
