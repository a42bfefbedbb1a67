"""How long texts are: a table of measures and a figure of how often each length occurs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from isinglass.show.figure import Figure
from isinglass.show.marks.bars import bars
from isinglass.show.table import Table

_PERCENTILES = {"shortest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "longest": 1.0}


def table(lengths: dict[str, list[int]]) -> Table:
    """Least, median, greatest and sum of lengths in each unit (`words`, `characters`, `tokens`)."""
    rows = []
    for unit, values in lengths.items():
        ordered = sorted(values)
        ends = {name: ordered[round(share * (len(ordered) - 1))] for name, share in _PERCENTILES.items()}
        rows.append({"in": unit, **ends, "mean": sum(ordered) / len(ordered), "in all": sum(ordered)})
    return Table(rows, title="Lengths of the texts")


def figure(values: Iterable[int], *, unit: str) -> Figure:
    """How many texts have each length, in classes that double in width: corpora hold texts of every size.

    >>> figure([1, 2, 3, 9], unit="words").data.rows[1]
    {'label': '2-3', 'texts': 2.0}
    """
    counted = Counter(value.bit_length() for value in values)
    powers = range(min(counted, default=0), max(counted, default=0) + 1)
    labels = [f"{2 ** (power - 1):,}-{2**power - 1:,}" if power > 1 else str(power) for power in powers]
    return bars(labels, [counted[power] for power in powers], title=f"How long the texts are, in {unit}", axis="texts")
