"""What a job says while it runs: each event is a small value that becomes one JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from isinglass.core.errors import IsinglassError
from isinglass.show import embed
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable


@dataclass(frozen=True)
class Working:
    """What is being done, and how much of it: `done` of `total` steps where that is known."""

    doing: str
    done: int | None = None
    total: int | None = None

    def message(self) -> dict[str, Any]:
        return {"type": "working", "doing": self.doing, "done": self.done, "total": self.total}


@dataclass(frozen=True)
class Shown:
    """A result, or a part of one: what a Finding shows of itself, as cards of HTML, and `data` for what a page does beyond showing.

    A later event with the same `slot` takes the place of the earlier one, so that a picture can fill in.
    """

    parts: Sequence[Showable] = ()
    data: Any = None
    slot: str = "result"

    @classmethod
    def of(cls, finding: Finding, *, data: Any = None, slot: str = "result") -> Shown:
        """All parts of a Finding."""
        return cls(finding.parts, data, slot)

    def message(self) -> dict[str, Any]:
        parts = [
            {"title": part.title, "needs": list(part.needs), "html": part.html_fragment(f"{self.slot}-{number}")}
            for number, part in enumerate(self.parts)
        ]
        return {"type": "shown", "slot": self.slot, "parts": parts, "data": embed.plain(self.data)}


@dataclass(frozen=True)
class Failed:
    """An error as the house writes it: one message, further lines, and one thing to do."""

    message_text: str
    details: Sequence[str] = field(default=())
    hint: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failed:
        """Errors that are raised on purpose as they are; another one by its kind and where it was raised."""
        if isinstance(error, IsinglassError):
            return cls(error.message, error.details, error.hint)
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        place = [] if at is None else [f"raised at {at.tb_frame.f_code.co_filename}:{at.tb_lineno}"]
        return cls(f"{type(error).__name__}: {error}", place, "this is a defect of the program; the terminal has the whole trace")

    def message(self) -> dict[str, Any]:
        return {"type": "failed", "message": self.message_text, "details": list(self.details), "hint": self.hint}


Event = Working | Shown
