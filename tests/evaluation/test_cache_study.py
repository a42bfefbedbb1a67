"""The KV-cache study: what it counts against arithmetic by hand, and what it refuses."""

from __future__ import annotations

import pytest

from isinglass.core.errors import EngineError
from isinglass.evaluation.cache_study import Measured, figures, studying, tables
from isinglass.generation.lm import LM

LENGTHS = [1, 8, 32]


@pytest.fixture(scope="module")
def results(tiny_lm: LM) -> list[Measured]:
    return list(studying(tiny_lm, LENGTHS))


def test_counted_flops_are_those_of_theory(results: list[Measured]) -> None:
    linears = 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 176)  # two layers: q o, k v, gate up down
    head = 64 * 256
    for one in results:
        attention = 4 * 2 * 4 * 16  # q k^T and weights v, in two layers of four heads of 16, per pair
        assert one.cached.flops == one.cached.theory_flops == 2 * (linears + head) + attention * one.length
        # without a cache every pair is multiplied, the hidden ones as well; theory counts those that are seen
        assert one.uncached.flops == 2 * (linears * one.length + head) + attention * one.length**2
        assert one.uncached.theory_flops <= one.uncached.flops < 1.1 * one.uncached.theory_flops


def test_bytes_and_tokens(results: list[Measured]) -> None:
    for one in results:
        assert one.cache_bytes == one.theory_bytes == one.length * 2 * 2 * 2 * 16 * 4
        assert one.same_token
        assert one.cached.seconds > 0
        assert one.uncached.least_seconds > 0


def test_tables_and_figures_hold_every_length(results: list[Measured]) -> None:
    time, work = tables(results)
    assert [row["length_tokens"] for row in time.rows] == [row["length_tokens"] for row in work.rows] == LENGTHS
    assert "times_faster" in time.columns
    assert {"cache_bytes", "cache_theory_bytes", "without_cache_flops"} <= set(work.columns)
    for figure in figures(results):
        assert {row["series"] for row in figure.data.rows} >= {"with cache", "without cache"}
        assert {row["kind"] for row in figure.data.rows} == {"measured", "theory"}


def test_a_length_beyond_the_context_is_refused_before_anything_is_measured(tiny_lm: LM) -> None:
    with pytest.raises(EngineError, match=r"a length of 300 tokens, expected 1 to 252[\s\S]*hint: the context holds 256"):
        studying(tiny_lm, [8, 300])
