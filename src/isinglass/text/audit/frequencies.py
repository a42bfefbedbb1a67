"""How often each token of a text occurs: Zipf's law says that the token of rank r occurs about 1/r times as often as the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import exp, log
from statistics import correlation, linear_regression
from typing import Any, NamedTuple

from isinglass.core.errors import DataError
from isinglass.show.marks.lines import lines
from isinglass.show.table import Table
from isinglass.text.audit.report import Audit, distinct, shown
from isinglass.text.tokenizer import Token, Tokenizer

_LEAST_RANKS = 3
_POINTS = 60  # of a curve in the figure, evenly spaced on its logarithmic axis


class Fit(NamedTuple):
    """count(rank) = `first` / rank ** `exponent`; `r_squared` of the logarithms over the `ranks` first ranks."""

    exponent: float
    first: float
    r_squared: float
    ranks: int


def zipf(counts: Sequence[int], *, least: int = 2) -> Fit:
    """Least squares of log count over log rank, for the ranks with a count of at least `least`: the long tail of equal counts is no law.

    Raises DataError when fewer than three ranks are left, or all counts are equal.

    >>> zipf([1000, 500, 333, 250, 200, 167]).exponent.__round__(2)
    1.0
    """
    kept = sorted((count for count in counts if count >= least), reverse=True)
    if len(kept) < _LEAST_RANKS or kept[0] == kept[-1]:
        raise DataError(
            f"{len(kept)} tokens occur at least {least} times: too few, or all as often, for a fit", hint="give a longer text with --file"
        )
    ranks, sizes = [log(rank) for rank in range(1, len(kept) + 1)], [log(count) for count in kept]
    slope, intercept = linear_regression(ranks, sizes)
    return Fit(-slope, exp(intercept), correlation(ranks, sizes) ** 2, len(kept))


def audit(tokenizers: Sequence[Tokenizer], text: str, *, most: int = 10) -> Audit:
    """The tokens of `text` by how often they occur, with a fit of Zipf's law. Raises DataError when the text is too short for one."""
    counted = {one.name: Counter(one.encode(text)) for one in distinct(tokenizers)}
    fits = {name: zipf(list(counts.values())) for name, counts in counted.items()}
    rows = [_row(one, counted[one.name], fits[one.name]) for one in tokenizers]
    frequent = [
        {"tokenizer": one.name, "rank": rank, "id": id, "token": shown(one, [Token(id, one.piece(id), 0, 0)]), "count": count}
        | {"share": count / counted[one.name].total()}
        for one in tokenizers
        for rank, (id, count) in enumerate(counted[one.name].most_common(most), 1)
    ]
    figure = lines(
        {name: _curve(sorted(counts.values(), reverse=True)) for name, counts in counted.items()},
        theory={f"{name}, fitted": _line(fit) for name, fit in fits.items()},
        title="How often tokens occur, by rank", x="rank", y="count", x_scale="log", y_scale="log",
    )  # fmt: skip
    steepest = max(rows, key=lambda row: row["exponent"])
    finding = f"Counts fall as 1 / rank^{steepest['exponent']:.2f} in {steepest['tokenizer']} (R² {steepest['r_squared']:.3f})"
    finding += f", whose {steepest['different']:,} different tokens are {steepest['vocabulary_used']:.1%} of its vocabulary."
    tables = (
        Table(rows, title="Zipf's law, fitted", units={"vocabulary_used": "ratio", "once": "ratio"}),
        Table(frequent, title="The most frequent tokens", units={"share": "ratio"}),
    )
    return Audit("How often does each token occur?", finding, tables, (figure,))


def _row(tokenizer: Tokenizer, counts: Counter[int], fit: Fit) -> dict[str, Any]:
    return {
        "tokenizer": tokenizer.name,
        "tokens": counts.total(),
        "different": len(counts),
        "vocabulary_used": len(counts) / tokenizer.vocab_size,
        "once": sum(count == 1 for count in counts.values()) / len(counts),
        "exponent": fit.exponent,
        "r_squared": fit.r_squared,
        "fitted_ranks": fit.ranks,
    }


def _curve(counts: Sequence[int]) -> tuple[list[float], list[float]]:
    ranks = sorted({round(exp(log(len(counts)) * at / (_POINTS - 1))) for at in range(_POINTS)})
    return [float(rank) for rank in ranks], [float(counts[rank - 1]) for rank in ranks]


def _line(fit: Fit) -> tuple[list[float], list[float]]:
    ends = [1.0, float(fit.ranks)]
    return ends, [fit.first / rank**fit.exponent for rank in ends]
