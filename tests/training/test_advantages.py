"""The arithmetic of PPO against numbers worked out by hand and against definitions written out in sums."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isinglass.training.advantages import clipped_policy_loss, clipped_value_loss, estimate_advantages, token_rewards, whiten
from isinglass.training.divergence import k1, k2, k3


def row(*numbers: float) -> torch.Tensor:
    return torch.tensor([numbers], dtype=torch.float64)


def everywhere(numbers: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(numbers, dtype=torch.bool)


def test_advantages_worked_out_by_hand() -> None:
    values = row(0, 0, 0, 1)
    advantages, returns = estimate_advantages(values, values, everywhere(values), discount=0.9, trace=0.95)
    # from the end: delta = 1 - 1 = 0; then 0.9 x 1 = 0.9; then 0.9 x 0.95 = 0.855 of that, twice
    torch.testing.assert_close(returns, row(0.6579225, 0.7695, 0.9, 1.0))
    torch.testing.assert_close(advantages, row(0.6579225, 0.7695, 0.9, 0.0))


numbers = st.lists(st.floats(-3, 3), min_size=1, max_size=6)


@given(numbers, st.data(), st.floats(0, 1), st.floats(0, 1))
def test_advantages_are_the_sum_of_the_paper(rewards: list[float], data: st.DataObject, discount: float, trace: float) -> None:
    """Schulman et al. 2016, equation 16: A_t = sum_l (discount trace)^l delta_(t+l); padding behind the end changes nothing."""
    n = len(rewards)
    values = data.draw(st.lists(st.floats(-3, 3), min_size=n, max_size=n))
    deltas = [r + discount * following - value for r, value, following in zip(rewards, values, [*values[1:], 0.0], strict=True)]
    expected = [sum((discount * trace) ** (later - t) * deltas[later] for later in range(t, n)) for t in range(n)]
    padded = row(*rewards, 0, 0), row(*values, 9, 9)
    valid = torch.tensor([[True] * n + [False] * 2])
    advantages, returns = estimate_advantages(*padded, valid, discount=discount, trace=trace)
    torch.testing.assert_close(advantages, row(*expected, 0, 0))
    torch.testing.assert_close(returns, row(*[a + v for a, v in zip(expected, values, strict=True)], 0, 0))


def test_rewards_of_tokens() -> None:
    """A toll for each token's log-ratio, which is a gift where the policy finds it less likely, and the score at the last token."""
    scores = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    gaps = torch.tensor([[0.1], [0.2], [0.3]], dtype=torch.float64).expand(3, 4)
    zeros = torch.zeros(3, 4, dtype=torch.float64)
    rewards = token_rewards(scores, -gaps, zeros, everywhere(zeros), kl=0.5)
    expected = torch.tensor([[0.05, 0.05, 0.05, 1.05], [0.1, 0.1, 0.1, 2.1], [0.15, 0.15, 0.15, 3.15]], dtype=torch.float64)
    torch.testing.assert_close(rewards, expected)


def test_the_score_stands_at_the_last_token_of_each_row() -> None:
    valid = torch.tensor([[True, True, False], [True, True, True]])
    rewards = token_rewards(torch.tensor([5.0, 7.0]), torch.ones(2, 3), torch.zeros(2, 3), valid, kl=0.5)
    assert rewards.tolist() == [[-0.5, 4.5, 0.0], [-0.5, -0.5, 6.5]]


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20).filter(lambda found: max(found) - min(found) > 1e-3))
def test_whitened_numbers_have_mean_zero(found: list[float]) -> None:
    """The mean is taken off, and is not added back afterwards."""
    whitened = whiten(torch.tensor(found, dtype=torch.float64) + 5)
    assert float(whitened.mean()) == pytest.approx(0, abs=1e-9)
    assert float(whitened.square().mean().sqrt()) == pytest.approx(1, abs=1e-4)
    best, worst = found.index(max(found)), found.index(min(found))
    assert whitened[best] > 0 > whitened[worst]


def test_equal_numbers_are_whitened_to_zero() -> None:
    assert whiten(torch.full((4,), 3.0)).tolist() == [0.0] * 4


@pytest.mark.parametrize(
    ("log_ratio", "advantage", "expected"),
    [
        (1.0, 1.0, -1.2),  # e is clipped to 1.2
        (-1.0, 1.0, -math.exp(-1)),  # not clipped: -0.3679; going back up is to be learned
        (0.1, 1.0, -math.exp(0.1)),  # within the bounds: -1.10517
        (1.0, -1.0, math.e),  # what did badly and became likelier is punished in full
        (-1.0, -1.0, 0.8),
        (0.0, 2.0, -2.0),
    ],
)
def test_policy_loss(log_ratio: float, advantage: float, expected: float) -> None:
    loss = clipped_policy_loss(row(log_ratio - 2), row(-2), row(advantage), clip=0.2)
    assert float(loss) == pytest.approx(expected, abs=1e-12)


def test_the_gradient_ends_where_the_ratio_is_clipped() -> None:
    policy = torch.tensor([[1.0, -1.0, 0.1]], dtype=torch.float64, requires_grad=True)
    clipped_policy_loss(policy, torch.zeros_like(policy), torch.ones_like(policy), clip=0.2).sum().backward()
    assert policy.grad is not None
    torch.testing.assert_close(policy.grad, row(0.0, -math.exp(-1), -math.exp(0.1)))


def test_value_loss() -> None:
    """Near the old value: half the square. Further than the clip towards the return: the clipped value's, which is larger."""
    values, before, returns = row(1.1, 2.0, 0.0), row(1.0, 1.0, 1.0), row(2.0, 2.0, 2.0)
    loss = clipped_value_loss(values, before, returns, clip=0.2)
    torch.testing.assert_close(loss, row(0.5 * 0.9**2, 0.5 * 0.8**2, 0.5 * 2.0**2))


@given(st.lists(st.floats(0.05, 1), min_size=2, max_size=6), st.data())
def test_divergence_estimates_on_known_distributions(raw: list[float], data: st.DataObject) -> None:
    """E[k1] = E[k3] = KL exactly, k3 and k2 are never below zero; k1 is, wherever the reference finds an outcome likelier."""
    other = data.draw(st.lists(st.floats(0.05, 1), min_size=len(raw), max_size=len(raw)))
    policy, reference = (torch.tensor(x, dtype=torch.float64) / sum(x) for x in (raw, other))
    divergence = sum(float(p) * math.log(float(p) / float(q)) for p, q in zip(policy, reference, strict=True))
    drawn = {estimate: estimate(policy.log(), reference.log()) for estimate in (k1, k2, k3)}
    assert float((policy * drawn[k1]).sum()) == pytest.approx(divergence, abs=1e-12)
    assert float((policy * drawn[k3]).sum()) == pytest.approx(divergence, abs=1e-12)
    assert float(drawn[k3].min()) >= -1e-15
    assert float(drawn[k2].min()) >= 0
    assert bool(((drawn[k1] < 0) == (policy < reference)).all())
