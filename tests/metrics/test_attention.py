"""Head statistics of maps made by hand: a head of a kind scores exactly 1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isinglass.core.errors import ConfigError, ShapeError
from isinglass.metrics.attention import added, definitions, head_statistics, head_sums, means, patterns
from isinglass.show.marks.attention_grid import AttentionGrid
from isinglass.show.marks.attention_measures import measures

IDS = [4, 7, 1, 9, 4, 7, 1, 9, 4]


def looking(targets: list[int]) -> np.ndarray:
    """One head that puts all of its weight on one key per query."""
    weights = np.zeros((1, len(targets), len(targets)), np.float32)
    weights[0, np.arange(len(targets)), targets] = 1
    return weights


def random_maps(heads: int, time: int, *, causal: bool, seed: int = 0) -> np.ndarray:
    weights = np.random.default_rng(seed).random((heads, time, time)) + 0.01
    weights = np.tril(weights) if causal else weights
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "targets"),
    [
        ("to_previous", [0, 0, 1, 2, 3, 4, 5, 6, 7]),
        ("to_first", [0] * 9),
        ("to_itself", list(range(9))),
        ("duplicate", [0, 0, 0, 0, 0, 1, 2, 3, 4]),
        ("induction", [0, 0, 0, 0, 1, 2, 3, 4, 5]),
        ("local", [0, 0, 1, 2, 2, 3, 4, 5, 6]),
    ],
)
def test_a_head_of_a_kind_scores_one(kind: str, targets: list[int]) -> None:
    found = head_statistics(looking(targets), IDS, causal=True, window=2)
    assert found[kind].tolist() == [1.0]
    assert found["entropy"].tolist() == [0.0]
    assert found["distance"].tolist() == [pytest.approx(np.mean([abs(q - k) for q, k in enumerate(targets)]))]


def test_other_kinds_score_zero() -> None:
    itself = head_statistics(looking(list(range(9))), IDS, causal=True)
    assert [itself[name].item() for name in ("to_previous", "to_first", "duplicate", "induction")] == [0, 0, 0, 0]
    assert itself["local"].item() == 1


def test_both_directions() -> None:
    """A bidirectional head may find its match ahead, where a causal one sees nothing."""
    ids = [5, 8, 5, 8]
    found = patterns(ids, causal=False)
    assert found["duplicate"].astype(int).tolist() == [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]
    assert found["induction"].astype(int).tolist() == [[0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    assert patterns(ids, causal=True)["induction"].astype(int).tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.booleans(), st.integers(1, 4))
def test_the_same_as_counting_one_by_one(ids: list[int], causal: bool, window: int) -> None:
    weights = random_maps(2, len(ids), causal=causal)
    found = head_statistics(weights, ids, causal=causal, window=window)
    rules = {
        "to_first": lambda q, k: k == 0,
        "to_previous": lambda q, k: k == q - 1,
        "to_itself": lambda q, k: k == q,
        "local": lambda q, k: abs(q - k) <= window,
        "duplicate": lambda q, k: k != q and ids[k] == ids[q],
        "induction": lambda q, k: k != q and k > 0 and k - 1 != q and ids[k - 1] == ids[q],
    }
    for name, rule in rules.items():
        for head in range(2):
            totals = []
            for q in range(len(ids)):
                seen = range(q + 1 if causal else len(ids))
                hits = [k for k in seen if rule(q, k)]
                if hits and len(hits) < len(seen):
                    totals.append(sum(float(weights[head, q, k]) for k in hits))
            expected = np.mean(totals) if totals else np.nan
            assert found[name][head] == pytest.approx(expected, nan_ok=True, abs=1e-6), name


def test_measuring_writes_nothing() -> None:
    weights = random_maps(3, 9, causal=True)
    before = weights.copy()
    weights.flags.writeable = False
    head_sums(weights, IDS, causal=True)
    assert (weights == before).all()


def test_every_query_counts_the_same_whichever_text_it_stands_in() -> None:
    one, two = random_maps(1, 3, causal=True), random_maps(1, 9, causal=True, seed=1)
    together = means(added([head_sums(one, IDS[:3], causal=True), head_sums(two, IDS, causal=True)]))
    alone = [head_statistics(maps, IDS[: maps.shape[-1]], causal=True)["to_first"].item() for maps in (one, two)]
    assert together["to_first"].item() == pytest.approx((2 * alone[0] + 8 * alone[1]) / 10)


def test_the_grid_measures_the_same() -> None:
    weights = random_maps(4, 9, causal=True)
    found = head_statistics(weights, IDS, causal=True)
    rows = AttentionGrid(weights[None], list("abcdefghi"), title="t", causal=True).data.rows
    for name in ("entropy", "distance", "to_first", "to_previous", "to_itself"):
        assert [row[name] for row in rows] == found[name].tolist() == measures(weights[None], causal=True)[name][0].tolist()


def test_entropy_is_that_of_even_attention() -> None:
    even = (np.tri(5) / np.arange(1, 6)[:, None])[None]
    assert head_statistics(even, IDS[:5], causal=True)["entropy"].item() == pytest.approx(np.log([1, 2, 3, 4, 5]).mean())


def test_one_token_has_no_choice() -> None:
    found = head_statistics(np.ones((1, 1, 1)), [3], causal=False)
    assert all(np.isnan(found[name]).all() for name in ("to_first", "to_previous", "to_itself", "local", "duplicate", "induction"))
    assert found["entropy"].item() == 0


def test_definitions_state_the_window() -> None:
    assert "at most 6 tokens away" in definitions(6)["local"]
    assert set(definitions()) == set(head_statistics(random_maps(1, 4, causal=True), IDS[:4], causal=True))


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="window = 0, expected at least 1 token"):
        patterns(IDS, causal=True, window=0)
    with pytest.raises(ShapeError) as caught:
        head_sums(np.ones((2, 3, 4)), [1, 2, 3], causal=True)
    assert str(caught.value) == "weights have shape (2, 3, 4), expected (heads, 3, 3) for 3 tokens"
