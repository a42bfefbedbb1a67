"""Stop strings in a stream: text that could still become one is held back, so that no part of a stop string leaks."""

from __future__ import annotations

from collections.abc import Sequence

from isinglass.core.errors import EngineError


class StopWatch:
    """Feed text, get the part that is safe to show; `hit` is the stop string that was met.

    >>> watch = StopWatch(["\\n\\n"])
    >>> watch.feed("a\\n"), watch.feed("b"), watch.feed("\\n\\nc"), watch.hit
    ('a', '\\nb', '', '\\n\\n')
    """

    def __init__(self, stops: Sequence[str]) -> None:
        if any(not isinstance(stop, str) or not stop for stop in stops):
            raise EngineError(f"stop = {list(stops)!r}: a stop string must not be empty")
        self.stops = tuple(stops)
        self.held = ""
        self.hit: str | None = None

    def feed(self, text: str) -> str:
        """The text that is now known not to belong to a stop string. Nothing comes after a hit."""
        if self.hit is not None:
            return ""
        self.held += text
        found = [(self.held.find(stop), stop) for stop in self.stops if stop in self.held]
        if found:
            # the one that is complete first, as if letters came one by one; of those that end together the longest
            place, self.hit = min(found, key=lambda hit: (hit[0] + len(hit[1]), hit[0]))
            safe, self.held = self.held[:place], ""
            return safe
        keep = max((_overlap(self.held, stop) for stop in self.stops), default=0)
        safe, self.held = self.held[: len(self.held) - keep], self.held[len(self.held) - keep :]
        return safe

    def finish(self) -> str:
        """What was held back and turned out harmless."""
        rest, self.held = self.held, ""
        return rest if self.hit is None else ""


def _overlap(text: str, stop: str) -> int:
    """How many last characters of `text` are the first of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
