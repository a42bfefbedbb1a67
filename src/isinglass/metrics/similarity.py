"""How alike two sets of vectors are: the angle between single vectors, and whether whole sets have the same shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isinglass.core.errors import ShapeError

_UNBIASED = 4  # points from which on the unbiased estimate exists


def cosine(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """The cosine of the angle between vectors along the last axis; all other axes broadcast. NaN beside a vector of zeros.

    >>> cosine([1.0, 0.0], [[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]).tolist()
    [1.0, 0.0, -1.0]
    """
    one, other = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        one, other = (each / np.linalg.norm(each, axis=-1, keepdims=True) for each in (one, other))
        return np.clip((one * other).sum(-1), -1.0, 1.0)


def linear_cka(x: ArrayLike, y: ArrayLike) -> float:
    """Centred kernel alignment of `x [points, features]` and `y [points, other features]`: 1 when one is the other turned and scaled, else
    less, down to 0. NaN when all points of one are the same.

    It is biased upwards: with fewer points than features it is close to 1 even for random numbers. `unbiased_cka` is not.
    ShapeError for different numbers of points.

    Source: Kornblith et al. 2019, Similarity of Neural Network Representations Revisited, section 3.

    >>> x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> round(linear_cka(x, -5 * x[:, ::-1]), 6)
    1.0
    """
    return float(pairwise_cka([x, y])[0, 1])


def unbiased_cka(x: ArrayLike, y: ArrayLike) -> float:
    """`linear_cka` from the unbiased estimate of HSIC: 0 on average for unrelated points, whatever the number of features; at most 1, and
    below 0 at times. ShapeError for different numbers of points, or fewer than 4.

    Source: Song et al. 2012, Feature Selection via Dependence Maximization, theorem 5; Nguyen et al. 2021 (for networks).

    >>> x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    >>> round(unbiased_cka(x, -5 * x[:, ::-1]), 6)
    1.0
    """
    return float(pairwise_unbiased_cka([x, y])[0, 1])


def pairwise_cka(sets: list[ArrayLike]) -> NDArray[np.float64]:
    """`linear_cka` of every two of several sets of the same points."""
    return _aligned([_centred(gram) for gram in _grams(sets)])


def pairwise_unbiased_cka(sets: list[ArrayLike]) -> NDArray[np.float64]:
    """`unbiased_cka` of every two of several sets of the same points."""
    grams = _grams(sets)
    if len(grams[0]) < _UNBIASED:
        raise ShapeError(f"unbiased CKA of {len(grams[0])} points, expected at least {_UNBIASED}", hint="linear_cka takes any number")
    return _aligned([_u_centred(gram) for gram in grams])


def _grams(sets: list[ArrayLike]) -> list[NDArray[np.float64]]:
    """x x^T of centred points: as large as there are points, whatever the number of features."""
    matrices = [np.asarray(each, dtype=np.float64) for each in sets]
    shapes = [matrix.shape for matrix in matrices]
    if any(len(shape) != 2 or shape[0] != shapes[0][0] for shape in shapes):
        raise ShapeError(f"CKA of shapes {', '.join(map(str, shapes))}, expected [points, features] with as many points in each")
    # centred before the product: what all points have in common is large in networks, and would cost digits
    return [centred @ centred.T for centred in map(_around_zero, matrices)]


def _around_zero(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = matrix - matrix.mean(axis=0)
    # what rounding leaves of points that are all the same is no shape
    return np.zeros_like(centred) if np.linalg.norm(centred) <= 1e-13 * np.linalg.norm(matrix) else centred


def _centred(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    return gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean()


def _u_centred(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the diagonal, so that no point is compared with itself (Szekely and Rizzo 2014, definition 2)."""
    n = len(gram)
    gram = gram - np.diag(np.diag(gram))
    rows = gram.sum(1) / (n - 2)
    gram = gram - rows - rows[:, None] + gram.sum() / ((n - 1) * (n - 2))
    return gram - np.diag(np.diag(gram))


def _aligned(grams: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Cosines between matrices: HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y))."""
    flat = np.stack([gram.ravel() for gram in grams])
    sizes = np.linalg.norm(flat, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        flat = flat / np.where(sizes > 0, sizes, np.nan)
        return np.clip(flat @ flat.T, -1.0, 1.0)
