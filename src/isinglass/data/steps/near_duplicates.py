"""Near duplicates: of texts that are almost the same the first stays.

What: MinHash values of runs of `shingle` words, cut into bands; texts that share a band are compared exactly. Pairs that are alike are
joined to clusters, and the first text of each cluster stays. The detail names the place of the text it is like and how like.

Why: Copies with another date, header or spelling slip past an exact comparison. A pair found by hashes alone may be no pair, so each is
checked; the first of each cluster stays, never none; and copies of one text are joined first, so that no bucket grows without bound.

Math: J(a, b) = |a and b| / |a or b| >= threshold; candidates share a band with probability 1 - (1 - J^rows)^bands, 0.99 or more at the
threshold

Cost: linear in the texts but for texts of one band, of which each is compared with at most 256; the texts are held in memory

Used by: GPT-3, C4 variants, RefinedWeb, FineWeb

Paper: Broder 1997, On the resemblance and containment of documents; Lee et al. 2022, Deduplicating Training Data Makes Language Models
Better (5-word shingles, threshold 0.8)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from isinglass.core.errors import ExtraMissing, VariantError
from isinglass.data.similar import Match, clusters
from isinglass.data.step import CorpusStep, Item, Passed, Refused, Verdict

EXAMPLE = dict(threshold=0.8, shingle=5)


@dataclass(frozen=True)
class NearDuplicates(CorpusStep):
    """Jaccard similarity `threshold` over runs of `shingle` words."""

    threshold: float
    shingle: int

    def sift(self, items: Iterable[Item]) -> Iterator[Verdict]:
        known = list(items)
        found = clusters([item.text for item in known], threshold=self.threshold, shingle=self.shingle)
        like: dict[int, Match] = {}  # the earliest text that each text is like
        for match in sorted(found.matches, key=lambda match: (match.first, match.second)):
            like.setdefault(match.second, match)
        for at, item in enumerate(known):
            yield Passed(item.text) if found.first[at] == at else Refused("near_duplicates", self._detail(at, found.first[at], like, known))

    def _detail(self, at: int, first: int, like: dict[int, Match], known: list[Item]) -> str:
        stays = known[first].place
        if at not in like:  # it is in the cluster through a later text that is like both
            return f"linked by others to {stays}"
        match = like[at]
        link = f"similarity {match.similarity:.3f} to {known[match.first].place}"
        return link if match.first == first else f"{link}, in the cluster of {stays}"


def build(threshold: float = 0.8, shingle: int = 5) -> NearDuplicates:
    """The step; `threshold` is the least Jaccard similarity 0.1 .. 1 of near duplicates, `shingle` the words in a run."""
    if find_spec("rensa") is None:
        raise ExtraMissing("rensa", "data")
    if not 0.1 <= threshold <= 1:
        raise VariantError(f"near_duplicates: threshold = {threshold!r}, expected 0.1 to 1")
    if shingle < 1:
        raise VariantError(f"near_duplicates: shingle = {shingle!r}, expected at least 1 word")
    return NearDuplicates(threshold, shingle)
