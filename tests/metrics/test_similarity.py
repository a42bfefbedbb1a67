"""Cosine and CKA against their definitions, closed forms and invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from isinglass.core.errors import ShapeError
from isinglass.metrics.similarity import cosine, linear_cka, pairwise_cka, pairwise_unbiased_cka, unbiased_cka

Sizes = st.tuples(st.integers(4, 12), st.integers(1, 8), st.integers(0, 2**32 - 1))


def drawn(sizes: tuple[int, int, int], features: int | None = None) -> np.ndarray:
    n, d, seed = sizes
    return np.random.default_rng(seed).normal(size=(n, features or d)) + 3.0


def test_cosine_is_that_of_scikit_learn() -> None:
    x, y = drawn((7, 5, 1)), drawn((4, 5, 2))
    np.testing.assert_allclose(cosine(x[:, None], y[None]), cosine_similarity(x, y), atol=1e-14)


def test_cosine_of_a_vector_of_zeros_is_nothing() -> None:
    assert np.isnan(cosine([0.0, 0.0], [1.0, 2.0])) and cosine([1e-150, 0.0], [3.0, 4.0]) == pytest.approx(0.6)


@given(Sizes)
def test_cosine_is_symmetric_bounded_and_one_with_itself(sizes: tuple[int, int, int]) -> None:
    x = drawn(sizes)
    matrix = cosine(x[:, None], x[None])
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_allclose(np.diag(matrix), 1.0, atol=1e-12)
    assert np.abs(matrix).max() <= 1.0


def hsic(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741 - the letters of the papers
    """Gretton et al. 2005: trace(K H L H) / (n - 1)^2."""
    n = len(k)
    h = np.eye(n) - np.ones((n, n)) / n
    return float(np.trace(k @ h @ l @ h)) / (n - 1) ** 2


def unbiased_hsic(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741
    """Song et al. 2012, equation 4."""
    n, one = len(k), np.ones(len(k))
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    first, second = np.trace(k @ l), (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
    return float(first + second - 2 * (one @ k @ l @ one) / (n - 2)) / (n * (n - 3))


@given(Sizes)
def test_cka_is_its_definition(sizes: tuple[int, int, int]) -> None:
    x, y = drawn(sizes), drawn((sizes[0], 5, sizes[2] + 1))
    k, l = x @ x.T, y @ y.T  # noqa: E741
    assert linear_cka(x, y) == pytest.approx(hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l)), abs=1e-9)
    expected = unbiased_hsic(k, l) / np.sqrt(unbiased_hsic(k, k) * unbiased_hsic(l, l))
    assert unbiased_cka(x, y) == pytest.approx(expected, abs=1e-7)


@given(Sizes)
def test_cka_is_the_form_over_features_too(sizes: tuple[int, int, int]) -> None:
    """Kornblith et al. 2019, section 3: |Y'X|^2 / (|X'X| |Y'Y|) of centred columns."""
    x, y = drawn(sizes), drawn((sizes[0], 3, sizes[2] + 1))
    a, b = x - x.mean(0), y - y.mean(0)
    expected = np.linalg.norm(b.T @ a) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    assert linear_cka(x, y) == pytest.approx(expected, abs=1e-9)


@given(Sizes, st.floats(1e-3, 1e3), st.booleans())
def test_turning_scaling_and_moving_change_nothing(sizes: tuple[int, int, int], factor: float, mirrored: bool) -> None:
    x = drawn(sizes)
    turned, _ = np.linalg.qr(np.random.default_rng(sizes[2]).normal(size=(x.shape[1], x.shape[1])))
    other = (-factor if mirrored else factor) * x @ turned + 5.0
    assert linear_cka(x, other) == pytest.approx(1.0, abs=1e-9)
    assert unbiased_cka(x, other) == pytest.approx(1.0, abs=1e-9)


def test_other_linear_maps_do_change_it() -> None:
    x = drawn((10, 3, 0))
    assert linear_cka(x, x * [10.0, 1.0, 0.1]) < 0.95


def test_unrelated_states_are_told_by_the_unbiased_estimate_alone() -> None:
    """Fewer points than features: the biased one is near 1 for noise."""
    pairs = [(drawn((10, 500, seed)), drawn((10, 500, 1000 + seed))) for seed in range(60)]
    assert min(linear_cka(x, y) for x, y in pairs) > 0.95
    assert abs(np.mean([unbiased_cka(x, y) for x, y in pairs])) < 0.06


def test_all_pairs_are_the_pairs() -> None:
    sets = [drawn((6, 4, 0)), drawn((6, 2, 1)), drawn((6, 9, 2))]
    for pairwise, single in ((pairwise_cka, linear_cka), (pairwise_unbiased_cka, unbiased_cka)):
        matrix = pairwise(sets)
        assert matrix == pytest.approx(np.array([[single(x, y) for y in sets] for x in sets]))
        assert matrix == pytest.approx(matrix.T)


def test_points_that_are_all_the_same_have_no_shape() -> None:
    same, other = np.full((6, 3), 0.1), drawn((6, 2, 1))
    assert np.isnan(linear_cka(same, other)) and np.isnan(unbiased_cka(same, other)) and np.isnan(linear_cka(same, same))


def test_bad_input() -> None:
    with pytest.raises(ShapeError, match=r"CKA of shapes \(3, 2\), \(4, 2\), expected \[points, features\] with as many points in each"):
        linear_cka(np.ones((3, 2)), np.ones((4, 2)))
    with pytest.raises(ShapeError, match=r"CKA of shapes \(3,\), \(3,\)"):
        linear_cka(np.ones(3), np.ones(3))
    with pytest.raises(ShapeError, match="unbiased CKA of 3 points, expected at least 4"):
        unbiased_cka(np.ones((3, 2)), np.ones((3, 2)))
