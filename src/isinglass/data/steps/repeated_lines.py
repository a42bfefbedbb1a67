"""Repeated lines: headers and footers that many texts of the corpus share are taken off.

What: The first and the last `depth` lines of every text are counted; a line that stands there in at least `share` of the texts (and in at
least five) is taken off where it stands at an end. A text of which nothing is left is dropped.

Why: The name of a site, its menu and its copyright line are in every page of it and say nothing about the page.

Math: line l goes from an end when |texts with l within `depth` lines of that end| >= max(5, share * |texts|)

Cost: linear; the texts are held in memory, because the last one may decide about the first

Used by: web and scan pipelines (jusText and CCNet take out lines that repeat over pages)

Paper: Wenzek et al. 2020, CCNet: Extracting High Quality Monolingual Datasets from Web Crawl Data (lines repeated over pages)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

from isinglass.core.errors import VariantError
from isinglass.data.step import CorpusStep, Item, Passed, Refused, Verdict

EXAMPLE = dict(share=0.3, depth=3)
_FEWEST = 5  # texts; in fewer, a line that repeats may be part of what they say


@dataclass(frozen=True)
class RepeatedLines(CorpusStep):
    """`share` of the texts and `depth` in lines."""

    share: float
    depth: int

    def sift(self, items: Iterable[Item]) -> Iterator[Verdict]:
        texts = [item.text for item in items]
        heads: Counter[str] = Counter()
        feet: Counter[str] = Counter()
        for text in texts:
            lines = _lines(text)
            if len(lines) > 1:  # a text of one line has no header
                heads.update(set(lines[: self.depth]))
                feet.update(set(lines[-self.depth :]))
        least = max(_FEWEST, self.share * len(texts))
        headers, footers = ({line for line, n in counted.items() if n >= least} for counted in (heads, feet))
        for text in texts:
            yield self._without(text, headers, footers)

    def _without(self, text: str, headers: Set[str], footers: Set[str]) -> Verdict:
        lines = text.split("\n")
        begin, end = 0, len(lines)
        while begin < end and (not lines[begin].strip() or lines[begin].strip() in headers):
            begin += 1
        while end > begin and (not lines[end - 1].strip() or lines[end - 1].strip() in footers):
            end -= 1
        removed = [line.strip() for line in (*lines[:begin], *lines[end:]) if line.strip()]
        if not removed:
            return Passed(text)
        left = "\n".join(lines[begin:end])
        return Passed(left, ("repeated_lines.removed",)) if left else Refused("repeated_lines.empty", f"only {removed[0]!r} and the like")


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def build(share: float = 0.3, depth: int = 3) -> RepeatedLines:
    """The step; `share` of the texts that must have a line at their beginning or end, looked for `depth` lines deep."""
    if not 0 < share <= 1:
        raise VariantError(f"repeated_lines: share = {share!r}, expected more than 0 and at most 1")
    if depth < 1:
        raise VariantError(f"repeated_lines: depth = {depth!r}, expected at least 1")
    return RepeatedLines(share, depth)
