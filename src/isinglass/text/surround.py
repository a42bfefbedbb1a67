"""The special tokens that a model expects around its input: `[CLS] A [SEP] B [SEP]`, `A </s>`, `<s> A`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

#: A place for the first or second text ("A", "B"), or the id of a special token.
Slot = str | int


@dataclass(frozen=True)
class Surround:
    """What `encode(add_special=True)` puts around one text and around two."""

    single: tuple[Slot, ...] = ("A",)
    pair: tuple[Slot, ...] = ("A", "B")

    @classmethod
    def ends(cls, *, before: tuple[int, ...] = (), after: tuple[int, ...] = ()) -> Surround:
        """The same tokens before and after each text."""
        return cls((*before, "A", *after), (*before, "A", *after, *before, "B", *after))

    def slots(self, *, two: bool) -> Iterator[Slot]:
        yield from self.pair if two else self.single
