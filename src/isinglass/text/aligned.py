"""Text that remembers where it came from: every character knows its span in the original string.

Normalisers rewrite text before it is cut into tokens (lower case, accents, `▁` for a space), so a token's place in the rewritten
text is not its place in what the user wrote. `Aligned` carries both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Aligned:
    """A text and, for each of its characters, the start and end of the original characters it stands for.

    >>> Aligned.whole("abc").rewrite([(0, 1, "a"), (1, 3, "X")]).ends
    [1, 3]
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    @classmethod
    def whole(cls, text: str) -> Aligned:
        """The original text: character i spans (i, i + 1)."""
        return cls(text, range(len(text)), range(1, len(text) + 1))

    def cut(self, start: int, end: int) -> Aligned:
        """The part between two positions of the rewritten text."""
        return Aligned(self.text[start:end], self.starts[start:end], self.ends[start:end])

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The original span that a stretch of the rewritten text stands for; an empty stretch has an empty span."""
        if start < end:
            return self.starts[start], self.ends[end - 1]
        place = self.starts[start] if start < len(self.starts) else self.ends[-1] if self.ends else 0
        return place, place

    def rewrite(self, edits: Iterable[tuple[int, int, str]]) -> Aligned:
        """Apply edits `(start, end, new)` that cover the text in order. Edits that keep the length keep character-wise spans."""
        texts: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        for start, end, new in edits:
            texts.append(new)
            if len(new) == end - start:
                starts += self.starts[start:end]
                ends += self.ends[start:end]
            else:
                low, high = self.span(start, end)
                starts += [low] * len(new)
                ends += [high] * len(new)
        return Aligned("".join(texts), starts, ends)
