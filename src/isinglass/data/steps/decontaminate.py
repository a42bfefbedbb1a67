"""Decontaminate: texts that hold a part of a test set are left out.

What: Every run of n words of the texts in `against` (all their fields that are text) is remembered; a text with one of them is dropped, and
the detail says which and where the test set has it. A test item of fewer than n words counts as a whole from five words on; shorter ones
stand in any text.

Why: A score on questions that were trained on measures memory.

Math: drop when ngrams_n(text) and ngrams_n(test set) meet; words in lower case, without punctuation

Cost: linear in the text; memory of one string for each n-gram of the test set

Used by: GPT-3 (n = 13), Llama 2, OLMo

Paper: Brown et al. 2020, Language Models are Few-Shot Learners, appendix C
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from isinglass.core.errors import VariantError
from isinglass.data.similar import words
from isinglass.data.sources import read
from isinglass.data.step import Passed, Refused, TextStep, Verdict

EXAMPLE = dict(against="kjv", n=13)
_SHORTEST = 5  # words of a test item that can be told from chance


@dataclass(frozen=True)
class Decontaminate(TextStep):
    """`grams`: the n-grams of the test set by their number of words, each with the place it stands."""

    grams: Mapping[int, Mapping[str, str]] = field(repr=False)

    def judge(self, text: str) -> Verdict:
        found = words(text)
        for size, grams in self.grams.items():
            for at in range(len(found) - size + 1):
                gram = " ".join(found[at : at + size])
                if gram in grams:
                    return Refused("decontaminate", f"{gram!r} stands in {grams[gram]}")
        return Passed(text)


def build(against: str, n: int = 13) -> Decontaminate:
    """The step; `against` is a source that `data show` reads, `n` the words that must be the same in a row."""
    if n < _SHORTEST:
        raise VariantError(f"decontaminate: n = {n!r}, expected at least {_SHORTEST} words")
    grams: dict[int, dict[str, str]] = {}
    for record in read(against):
        for value in record.fields.values():
            found = words(value) if isinstance(value, str) else []
            size = min(n, len(found))
            for at in range(len(found) - size + 1 if size >= _SHORTEST else 0):
                grams.setdefault(size, {}).setdefault(" ".join(found[at : at + size]), record.place)
    return Decontaminate(grams)
