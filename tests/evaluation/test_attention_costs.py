"""The costs of attention: what is counted against what theory says, and the measuring itself on known cases."""

from __future__ import annotations

import pytest
import torch

from isinglass.cli.main import main
from isinglass.evaluation.attention_costs import KINDS, measuring, peak_bytes, power, summary
from isinglass.nn.attention.dims import Dims

DIMS = Dims(d_model=64, n_heads=2, n_kv_heads=2, d_head=32, context_length=1024)


def test_peak_counts_what_lives_at_once_and_views_once() -> None:
    def run() -> torch.Tensor:
        first = torch.ones(1000)  # 4,000 bytes
        second = first + 1  # 8,000
        del first  # 4,000
        third = second.view(10, 100) * 2  # 8,000
        del second
        return third.t()

    assert peak_bytes(run) == 8000


def test_power_is_the_exponent() -> None:
    lengths = [256, 512, 1024]
    assert power(lengths, [3.0 * n**1.7 for n in lengths]) == pytest.approx(1.7)


@pytest.mark.parametrize(("kind", "counted"), [("full", 1.0), ("sdpa", 1.0), ("flash", 1.0), ("sliding window", 1.0), ("linear", 1.02)])
def test_flops_and_kv_bytes_are_those_of_theory(kind: str, counted: float) -> None:
    for cost in measuring([kind], [512, 1024], dims=DIMS, rounds=1):
        assert cost.counted_flops == pytest.approx(counted * cost.predicted_flops, rel=0.02)
        assert cost.kv_bytes == cost.predicted_kv_bytes


def test_memory_grows_as_theory_says() -> None:
    fitted = {row["kind"]: row for row in summary(list(measuring(list(KINDS), [256, 512, 1024], dims=DIMS, rounds=1)))}
    assert fitted["full"]["memory"] == pytest.approx(2, abs=0.05)
    for kind in ("flash", "sliding window", "linear", "recurrent"):
        assert fitted[kind]["memory"] < 1.2


def test_an_unknown_kind_is_named_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "attention", "--kinds", "ful"]) == 2
    error = capsys.readouterr().err
    assert "unknown kind of attention 'ful' in --kinds" in error
    assert "did you mean 'full'?" in error
