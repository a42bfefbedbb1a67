"""Dropout against torch's, against its formula, and in eval mode."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isinglass.core.errors import ConfigError
from isinglass.nn.dropout import Dropout, dropout

X = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0))


@given(p=st.floats(0, 0.99), seed=st.integers(0, 2**32), dtype=st.sampled_from([torch.float32, torch.bfloat16]), turned=st.booleans())
def test_equals_torch_for_the_same_generator_state(p: float, seed: int, dtype: torch.dtype, turned: bool) -> None:
    x = X.to(dtype).transpose(1, 2) if turned else X.to(dtype)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        ours, after = dropout(x, p), torch.get_rng_state()
        torch.manual_seed(seed)
        theirs = torch.nn.functional.dropout(x, p)
        assert torch.equal(after, torch.get_rng_state())
    assert torch.equal(ours, theirs)


def test_what_is_kept_is_scaled_and_the_mean_stays() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dropped = dropout(torch.ones(100_000), p=0.25)
    zero = dropped == 0
    assert torch.equal(dropped[~zero], torch.full_like(dropped[~zero], 1 / 0.75))
    # 100,000 draws: five standard deviations of the share are 0.007, of the mean 0.009
    assert zero.float().mean().item() == pytest.approx(0.25, abs=0.007)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.009)


def test_eval_changes_nothing_and_draws_nothing() -> None:
    layer, before = Dropout(0.5).eval(), torch.get_rng_state()
    assert layer(X) is X
    assert dropout(X, 0.0) is X
    assert torch.equal(before, torch.get_rng_state())


def test_the_module_drops_while_training_and_its_gradient_is_the_mask() -> None:
    x = torch.ones(50, requires_grad=True)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        y = Dropout(0.5)(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())
    assert set(y.tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("p", [1.0, -0.1, float("nan")])
def test_a_share_outside_its_range_is_an_error(p: float) -> None:
    with pytest.raises(ConfigError, match="expected a share from 0 to below 1") as fault:
        dropout(X, p)
    assert f"dropout = {p!r}" in str(fault.value)
    assert "hint: 0.1 is what BERT" in str(fault.value)
