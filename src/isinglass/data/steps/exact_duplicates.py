"""Exact duplicates: of equal texts the first stays.

What: Texts are equal when they are the same after NFC and with every run of whitespace as one space. The detail names the place of the
text that stays.

Why: A text seen many times is learned by heart, and is then in the training and the test set.

Math: drop text i when h(i) = h(j) for a j < i, with h a 128-bit BLAKE2b hash

Cost: linear; 16 bytes and a place for each text that stays

Used by: every pretraining corpus

Paper: Lee et al. 2022, Deduplicating Training Data Makes Language Models Better
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from isinglass.data.similar import fingerprint
from isinglass.data.step import CorpusStep, Item, Passed, Refused, Verdict

EXAMPLE = dict()


@dataclass(frozen=True)
class ExactDuplicates(CorpusStep):
    """Has no settings."""

    def sift(self, items: Iterable[Item]) -> Iterator[Verdict]:
        first: dict[bytes, str] = {}
        for item in items:
            key = fingerprint(item.text)
            if key in first:
                yield Refused("exact_duplicates", f"same as {first[key]}")
            else:
                first[key] = item.place
                yield Passed(item.text)


def build() -> ExactDuplicates:
    """The step."""
    return ExactDuplicates()
