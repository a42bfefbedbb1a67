"""One temperature that makes a model's confidence fit: the one under which what came true is most likely."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isinglass.core.errors import DataError, ShapeError

LOWEST, HIGHEST = 0.01, 100.0
_ENOUGH = 1e-9  # relative change of the last step
_ROWS = 64  # at once: a row of 50,000 logits is 0.4 MB in double precision


def fit_temperature(logits: ArrayLike, labels: Sequence[int] | NDArray[np.integer]) -> float:
    """The temperature T for which softmax(logits / T) gives the `labels` the least mean loss; between 0.01 and 100.

    The loss is convex in 1/T, so Newton's steps, kept between two ends that close in, find its one minimum. All labels likeliest gives
    the lower end, labels no better than chance the upper one. Raises DataError without a row, ShapeError when lengths differ.

    Source: Guo et al. 2017, On calibration of modern neural networks.

    >>> round(fit_temperature([[2.0, 0.0]] * 4, [0, 0, 0, 1]), 4)  # 3 of 4: log 3 = 2 / T
    1.8205
    """
    rows, truth = np.asarray(logits), np.asarray(labels)
    if rows.ndim != 2 or rows.shape[:1] != truth.shape:
        raise ShapeError(f"logits have shape {rows.shape}, labels {truth.shape}, expected a row of logits per label")
    if not len(truth):
        raise DataError("there is no row to fit a temperature to")
    low, high = 1 / HIGHEST, 1 / LOWEST
    if _derivatives(rows, truth, low)[0] >= 0:
        return HIGHEST
    if _derivatives(rows, truth, high)[0] <= 0:
        return LOWEST
    beta, step = 0.0, 1.0
    while abs(step - beta) > _ENOUGH * step:
        beta = step
        slope, curvature = _derivatives(rows, truth, beta)
        low, high = (beta, high) if slope < 0 else (low, beta)
        step = beta - slope / curvature if curvature > 0 else high
        step = step if low < step < high else math.sqrt(low * high)
    return 1 / step


def _derivatives(rows: NDArray[np.floating], labels: NDArray[np.integer], beta: float) -> tuple[float, float]:
    """First and second derivative of the mean loss by beta = 1/T: E[z] - z_label, and the variance of z, under softmax(beta z)."""
    slope = curvature = 0.0
    for start in range(0, len(rows), _ROWS):
        z = rows[start : start + _ROWS].astype(np.float64)
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(beta * z)
        p /= p.sum(axis=1, keepdims=True)
        mean = (p * z).sum(axis=1)
        slope += float((mean - z[np.arange(len(z)), labels[start : start + _ROWS]]).sum())
        curvature += float(((p * z * z).sum(axis=1) - mean**2).sum())
    return slope / len(rows), curvature / len(rows)
