"""A long series as few points as a picture can show: of each narrow stretch of the axis its lowest and its highest value.

Means would smooth away the spikes that one looks for in a training curve; lowest and highest draw the same band as all points together.
Source: Jugel et al. 2014, M4: A Visualization-Oriented Time Series Data Aggregation, PVLDB 7(10); here without its first and last of each
stretch, whose place inside of two pixels is not seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STRETCHES = 320  # two pixels each at a chart's usual width


def thinned(xs: Sequence[float], ys: Sequence[float], *, scale: str = "linear", stretches: int = STRETCHES) -> NDArray[np.intp]:
    """The places of the points to draw, ascending: all of a series of at most 2 `stretches` points; else of each stretch of the x axis
    (of its logarithm when `scale` is "log") the lowest, the highest and one that is no number, and the two ends.

    >>> thinned([0, 1, 2, 3, 4, 5], [0, 9, 1, -9, 0, 0], stretches=2).tolist()
    [0, 1, 3, 5]
    """
    if len(xs) <= 2 * stretches:
        return np.arange(len(xs))
    places, values = np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64)
    if scale == "log":
        places = np.log(np.where(places > 0, places, np.nan))
    seen = np.flatnonzero(np.isfinite(places))
    if not seen.size:
        return np.arange(0)
    low, high = places[seen].min(), places[seen].max()
    share = (places[seen] - low) / (high - low) if high > low else np.zeros(seen.size)
    stretch = np.minimum((share * stretches).astype(int), stretches - 1)
    kept = [seen[[places[seen].argmin(), places[seen].argmax()]]]
    for chosen, sides in ((np.isfinite(values[seen]), (0, 1)), (~np.isfinite(values[seen]), (0,))):
        order = np.flatnonzero(chosen)[np.lexsort((values[seen][chosen], stretch[chosen]))]
        border = np.flatnonzero(np.diff(stretch[order])) + 1
        if order.size:
            ends = (np.concatenate([[0], border]), np.concatenate([border - 1, [order.size - 1]]))
            kept += [seen[order[ends[side]]] for side in sides]
    return np.unique(np.concatenate(kept))
