"""What the attention of a head is measured by: where its weight goes, how spread it is, how far it reaches.

The definitions stand here once, for the attention grid and for everything above it (`metrics.attention` adds those that need the tokens).
A share is the weight on a set of keys, a mean over the queries that had the choice: those that see such a key and another one too. So
the first token of a causal text, which can only look at itself, counts for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SPREAD = {
    "entropy": "how spread the weights are: - sum of w log w over the keys, in nats; a mean over all queries",
    "distance": "how far it looks: sum of w |query - key|, in tokens; a mean over all queries",
}
PLACES = {
    "to_first": "share on the first token (an attention sink)",
    "to_previous": "share on the token just before the query",
    "to_itself": "share on the query itself",
}
UNITS = {"entropy": "nats", "distance": "tokens", **dict.fromkeys(PLACES, "ratio")}
Sums = dict[str, tuple[NDArray[np.float64], int]]  # name -> the sum over queries of each head, and how many queries these are


def distances(time: int) -> NDArray[np.int64]:
    """query - key."""
    place = np.arange(time)
    return place[:, None] - place[None, :]


def places(time: int) -> dict[str, NDArray[np.bool_]]:
    """Which keys count for each share of PLACES: `[query, key]`."""
    gap = distances(time)
    return {"to_first": np.broadcast_to(np.arange(time) == 0, gap.shape), "to_previous": gap == 1, "to_itself": gap == 0}


def sums(weights: NDArray[np.floating], patterns: Mapping[str, NDArray[np.bool_]], *, causal: bool) -> Sums:
    """Every measure of `weights [heads, query, key]`, summed over queries so that texts can be added up; `patterns` as `places` makes.

    >>> measured = sums(np.eye(3)[None], places(3), causal=True)
    >>> [(name, float(total[0]), queries) for name, (total, queries) in measured.items() if name in PLACES]
    [('to_first', 0.0, 2), ('to_previous', 0.0, 2), ('to_itself', 2.0, 2)]
    """
    heads, time = weights.shape[:2]
    gap = distances(time)
    seen: NDArray[np.bool_] = gap >= 0 if causal else np.ones_like(gap, dtype=bool)
    flat = weights.reshape(heads, -1).astype(np.float64)
    logs = np.log(flat, out=np.zeros_like(flat), where=flat > 0)
    found: Sums = {"entropy": (-(flat * logs).sum(-1) + 0.0, time), "distance": (flat @ np.abs(gap).ravel().astype(np.float64), time)}
    for name, pattern in patterns.items():
        choice = np.logical_and(np.any(pattern & seen, axis=-1), np.any(~pattern & seen, axis=-1))
        found[name] = (flat @ (pattern & choice[:, None]).ravel().astype(np.float64), int(choice.sum()))
    return found


def means(measured: Sums) -> dict[str, NDArray[np.float64]]:
    """Sums divided by their numbers of queries; NaN where there was none."""
    return {name: total / queries if queries else np.full_like(total, np.nan) for name, (total, queries) in measured.items()}


def measures(weights: NDArray[np.floating], *, causal: bool) -> dict[str, NDArray[np.float64]]:
    """The measures of SPREAD and PLACES for `weights [layers, heads, query, key]`, each `[layers, heads]`."""
    patterns = places(weights.shape[-1])
    by_layer = [means(sums(layer, patterns, causal=causal)) for layer in weights]  # a layer at a time: 512 tokens of 30 layers are 0.3 GB
    return {name: np.stack([layer[name] for layer in by_layer]) for name in by_layer[0]}
