"""Head statistics of attention maps: the kinds of head known from the literature, as shares of a head's weight.

Induction and duplicate-token heads: Olsson et al. 2022, In-context Learning and Induction Heads; Wang et al. 2022, Interpretability in
the Wild. First-token sinks: Xiao et al. 2023, Efficient Streaming Language Models with Attention Sinks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isinglass.core.errors import ConfigError, ShapeError
from isinglass.show.marks.attention_measures import PLACES, SPREAD, UNITS, Sums, distances, means, places, sums

WINDOW = 4  # tokens
TOKENS = {
    "local": "share on keys at most {window} tokens away, the query itself included",
    "duplicate": "share on other places that hold the query's own token (causal models: earlier ones)",
    "induction": "share on keys that stand just behind another place with the query's own token",
}
STATISTIC_UNITS = {**UNITS, **dict.fromkeys(TOKENS, "ratio")}


def definitions(window: int = WINDOW) -> dict[str, str]:
    """What each statistic says, in words."""
    return {name: text.format(window=window) for name, text in {**PLACES, **TOKENS, **SPREAD}.items()}


def patterns(ids: Sequence[int], *, causal: bool, window: int = WINDOW) -> dict[str, NDArray[np.bool_]]:
    """Which keys count for each share: `[query, key]`. Raises ConfigError for a window below 1.

    >>> patterns([7, 8, 7], causal=True)["induction"].tolist()[2]  # after the second 7: the 8 that followed the first
    [False, True, False]
    """
    if window < 1:
        raise ConfigError(f"window = {window!r}, expected at least 1 token")
    token = np.asarray(ids)
    gap = distances(len(token))
    other = gap > 0 if causal else gap != 0
    same = token[:, None] == token[None, :]
    behind = np.zeros_like(same)
    behind[:, 1:] = same[:, :-1] & (gap[:, :-1] != 0)  # the place before the key holds the query's token, and is not the query
    return {**places(len(token)), "local": np.abs(gap) <= window, "duplicate": same & other, "induction": behind & other}


def head_sums(weights: NDArray[np.floating], ids: Sequence[int], *, causal: bool, window: int = WINDOW) -> Sums:
    """All statistics of `weights [heads, query, key]` as sums over queries, with the number of queries. ShapeError when ids do not fit."""
    if weights.ndim != 3 or weights.shape[1:] != (len(ids), len(ids)):
        raise ShapeError(f"weights have shape {weights.shape}, expected (heads, {len(ids)}, {len(ids)}) for {len(ids)} tokens")
    return sums(weights, patterns(ids, causal=causal, window=window), causal=causal)


def head_statistics(
    weights: NDArray[np.floating], ids: Sequence[int], *, causal: bool, window: int = WINDOW
) -> dict[str, NDArray[np.float64]]:
    """The same as means, each `[heads]`; NaN where no query had the choice, such as duplicates in a text without any.

    >>> head_statistics(np.eye(3, k=-1)[None], [7, 8, 7], causal=True)["to_previous"].tolist()
    [1.0]
    """
    return means(head_sums(weights, ids, causal=causal, window=window))


def added(texts: Sequence[Sums]) -> Sums:
    """Sums of several texts as one: every query counts the same, whichever text it stands in."""
    names = texts[0] if texts else ()
    return {name: (np.sum([one[name][0] for one in texts], axis=0), sum(one[name][1] for one in texts)) for name in names}
