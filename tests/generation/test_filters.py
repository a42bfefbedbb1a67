"""Each filter against its formula written naively in numpy; drawing against the distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from isinglass.core.variants import Family
from isinglass.generation import filters, strategies
from isinglass.generation.sampling import Filter, Row, Strategy, draw

FAMILY: Family[Filter] = filters.family
LOGITS = st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=40)


def applied(expression: str, logits: list[float], ids: list[int] | None = None) -> np.ndarray:
    given_logits = torch.tensor(logits)
    before = given_logits.clone()
    result = FAMILY.resolve(expression)(given_logits, ids or [0])
    assert torch.equal(given_logits, before), "a filter must not change what it was given"
    return result.numpy()


def softmax(logits: np.ndarray) -> np.ndarray:
    spread = np.exp(logits.astype(np.float64) - logits.max())
    return spread / spread.sum()


@settings(deadline=None, max_examples=100)
@given(LOGITS, st.integers(1, 50))
def test_top_k(logits: list[float], k: int) -> None:
    kept = np.isfinite(applied(f"top_k({k})", logits))
    threshold = sorted(logits, reverse=True)[min(k, len(logits)) - 1]
    assert kept.tolist() == [value >= threshold for value in logits]


@settings(deadline=None, max_examples=200)
@given(LOGITS, st.floats(0.01, 1.0))
def test_top_p_is_the_smallest_set_that_reaches_p(logits: list[float], p: float) -> None:
    probabilities = softmax(np.array(logits, dtype=np.float32).astype(np.float64))
    kept = np.isfinite(applied(f"top_p({p})", logits))
    inside = probabilities[kept]
    assert inside.max() == probabilities.max()  # of equally likely tokens one is enough
    assert inside.sum() >= p - 1e-9
    assert inside.sum() - inside.min() < p + 1e-9
    assert not kept.all() or inside.min() >= 0
    if not kept.all():
        assert inside.min() >= probabilities[~kept].max()


def test_top_p_sees_the_whole_vocabulary() -> None:
    """50,257 equal tokens: half of the mass is half of the tokens, not a part of some top k."""
    kept = np.isfinite(applied("top_p(0.5)", [0.0] * 50_257)).sum()
    assert abs(int(kept) - 50_257 // 2) <= 1
    assert np.isfinite(applied("top_p(1.0)", [0.0] * 50_257)).all()


@settings(deadline=None, max_examples=100)
@given(LOGITS, st.floats(0.01, 1.0))
def test_min_p(logits: list[float], p: float) -> None:
    probabilities = softmax(np.array(logits, dtype=np.float32).astype(np.float64))
    ratio = probabilities / probabilities.max()
    kept = np.isfinite(applied(f"min_p({p})", logits))
    clear = np.abs(ratio - p) > 1e-4 * p  # rounding may decide what lies on the edge
    assert (kept == (ratio >= p))[clear].all()


@settings(deadline=None, max_examples=100)
@given(LOGITS, st.floats(0.05, 5.0))
def test_temperature(logits: list[float], temperature: float) -> None:
    np.testing.assert_allclose(
        applied(f"temperature({temperature})", logits), np.array(logits, np.float32) / np.float32(temperature), rtol=1e-5
    )


def test_temperature_zero_keeps_the_first_of_the_largest() -> None:
    assert np.isfinite(applied("temperature(0)", [1.0, 3.0, 3.0, 2.0])).tolist() == [False, True, False, False]


@settings(deadline=None, max_examples=100)
@given(LOGITS, st.floats(0.5, 2.0), st.data())
def test_repetition(logits: list[float], penalty: float, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, len(logits) - 1), min_size=1, max_size=8))
    wanted = np.array(logits, np.float32)
    for id in set(ids):
        wanted[id] = wanted[id] / penalty if wanted[id] > 0 else wanted[id] * penalty
    np.testing.assert_allclose(applied(f"repetition({penalty})", logits, ids), wanted, rtol=1e-5, atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(LOGITS, st.data())
def test_ban(logits: list[float], data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, len(logits) - 1), max_size=len(logits) - 1))
    result = applied(f"ban({ids})", logits)
    assert [not np.isfinite(value) for value in result] == [id in ids for id in range(len(logits))]


def test_every_filter_has_a_test_here() -> None:
    assert FAMILY.names() == ["ban", "min_p", "repetition", "temperature", "top_k", "top_p"]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_are_those_of_the_softmax(temperature: float) -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, 1.5, float("-inf")])
    generator, n = torch.Generator().manual_seed(0), 5_000
    counts = np.bincount([draw(logits / temperature, generator) for _ in range(n)], minlength=6)
    expected = softmax((logits / temperature).numpy()) * n
    assert counts[5] == 0
    assert chisquare(counts[:5], expected[:5]).pvalue > 0.01


def test_sample_draws_from_the_filtered_distribution() -> None:
    """Of four tokens two are kept by top_k; what is left is renormalised."""
    strategy: Strategy = strategies.family.resolve("sample(top_k=2, temperature=0.5)")
    logits = torch.tensor([[1.0, 0.5, 0.4, -3.0]])
    row = Row.start([0], 0, 0)
    counts = np.bincount([strategy.choose(logits, [row])[0] for _ in range(4000)], minlength=4)
    assert counts[2] == counts[3] == 0
    assert chisquare(counts[:2], softmax(np.array([2.0, 1.0])) * 4000).pvalue > 0.01


def test_the_tail_of_a_large_vocabulary_is_reached() -> None:
    """At 50,000 equal tokens an fp32 cumulative sum would skip some of the last ones."""
    generator = torch.Generator().manual_seed(0)
    drawn = [draw(torch.zeros(50_000), generator) for _ in range(2000)]
    assert max(drawn) > 49_900
    assert min(drawn) < 100
    assert abs(sum(id >= 25_000 for id in drawn) - 1000) < 4 * 500**0.5


@pytest.mark.parametrize("heat", ["temperature=0", "temperature=1e-4", "temperature=1e4", "temperature=1e30"])
def test_extreme_temperatures_draw_something(heat: str) -> None:
    strategy: Strategy = strategies.family.resolve(f"sample({heat}, ban=[0])")
    ids = {strategy.choose(torch.tensor([[9.0, 5.0, 4.0, 3.0]]), [Row.start([0], seed, 0)])[0] for seed in range(60)}
    assert ids == ({1} if heat in ("temperature=0", "temperature=1e-4") else {1, 2, 3})


def test_greedy_takes_the_first_of_equals() -> None:
    greedy: Strategy = strategies.family.resolve("greedy")
    assert greedy.choose(torch.tensor([[0.0, 2.0, 2.0], [1.0, 0.0, -1.0]]), []) == [1, 0]
