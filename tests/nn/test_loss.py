"""Cross-entropy, whole and in chunks, against torch's own: values, gradients, ignored positions, dtypes, memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from isinglass.core.errors import ConfigError, ShapeError, TrainingError
from isinglass.nn.loss import IGNORED, chunked_cross_entropy, cross_entropy

SIZES = st.tuples(st.integers(1, 17), st.integers(2, 11), st.integers(1, 6))  # tokens, vocabulary, d_model


def drawn(
    tokens: int, vocab: int, d_model: int, seed: int = 0, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states, weight, bias and targets, every third of which is ignored."""
    generator = torch.Generator().manual_seed(seed)
    hidden, weight, bias = (
        torch.randn(*shape, generator=generator, dtype=dtype) for shape in ((tokens, d_model), (vocab, d_model), (vocab,))
    )
    targets = torch.randint(vocab, (tokens,), generator=generator)
    targets[2::3] = IGNORED
    return hidden.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), targets


def gradients(loss: Tensor, *inputs: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, inputs))


@settings(deadline=None, max_examples=60)
@given(SIZES, st.integers(0, 99))
def test_whole_is_torchs_own(sizes: tuple[int, int, int], seed: int) -> None:
    logits = drawn(*sizes, seed)[0].detach().repeat(1, 3).mul(5).requires_grad_()
    targets = torch.randint(logits.shape[1], (len(logits),), generator=torch.Generator().manual_seed(seed))
    targets[1::2] = IGNORED
    ours, theirs = cross_entropy(logits, targets), F.cross_entropy(logits, targets, reduction="sum")
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients(ours, logits), gradients(theirs, logits))


@settings(deadline=None, max_examples=100)
@given(SIZES, st.integers(1, 20), st.integers(0, 99), st.booleans())
def test_chunks_of_any_size_are_torchs_own(sizes: tuple[int, int, int], chunk: int, seed: int, with_bias: bool) -> None:
    hidden, weight, bias, targets = drawn(*sizes, seed, torch.float64)
    inputs = (hidden, weight, bias) if with_bias else (hidden, weight)
    shift = bias if with_bias else None
    ours = chunked_cross_entropy(hidden, weight, targets, bias=shift, chunk=chunk) / 7
    theirs = F.cross_entropy(F.linear(hidden, weight, shift), targets, reduction="sum") / 7
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients(ours, *inputs), gradients(theirs, *inputs))


def test_gradients_by_differences() -> None:
    hidden, weight, bias, targets = drawn(7, 5, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda h, w, b: chunked_cross_entropy(h, w, targets, bias=b, chunk=2), (hidden, weight, bias))
    assert torch.autograd.gradcheck(lambda h: cross_entropy(h, targets.clamp(max=2)), (hidden,))


def test_by_hand() -> None:
    """Logits ln 1, ln 2, ln 5 are probabilities 1/8, 2/8, 5/8."""
    logits = torch.tensor([[1.0, 2.0, 5.0], [1.0, 1.0, 2.0]]).log()
    assert cross_entropy(logits, torch.tensor([0, IGNORED])).item() == pytest.approx(2.0794415)  # ln 8
    assert cross_entropy(logits, torch.tensor([1, 2])).item() == pytest.approx(1.3862944 + 0.6931472)  # ln 4 + ln 2
    assert chunked_cross_entropy(torch.eye(2), logits.T, torch.tensor([1, 2]), chunk=1).item() == pytest.approx(2.0794415)


def test_nothing_to_train_on_is_zero_with_zero_gradients() -> None:
    hidden, weight, bias, targets = drawn(4, 5, 3)
    targets.fill_(IGNORED)
    for loss in (chunked_cross_entropy(hidden, weight, targets, bias=bias), cross_entropy(F.linear(hidden, weight, bias), targets)):
        assert loss.item() == 0
        assert all(torch.equal(g, torch.zeros_like(g)) for g in gradients(loss, hidden, weight, bias))


def test_large_logits_do_not_overflow() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]])
    assert cross_entropy(logits, torch.tensor([0])).item() == 0
    assert cross_entropy(logits, torch.tensor([1])).item() == 2e4
    assert chunked_cross_entropy(torch.ones(1, 1), logits.T, torch.tensor([2])).item() == 1e4


def test_shapes_with_a_batch() -> None:
    hidden, weight, _, targets = drawn(12, 9, 4)
    whole = chunked_cross_entropy(hidden, weight, targets)
    in_batch = chunked_cross_entropy(hidden.view(3, 4, 4), weight, targets.view(3, 4), chunk=5)
    torch.testing.assert_close(in_batch, whole)
    (gradient,) = gradients(in_batch, hidden)
    assert gradient.shape == (12, 4)
    torch.testing.assert_close(cross_entropy((hidden @ weight.T).view(3, 4, 9), targets.view(3, 4)), whole)


@pytest.mark.parametrize("frozen", ["hidden", "weight", "bias", "all"])
def test_what_is_frozen_gets_no_gradient(frozen: str) -> None:
    hidden, weight, bias, targets = drawn(5, 6, 3)
    inputs = {"hidden": hidden, "weight": weight, "bias": bias}
    for name, value in inputs.items():
        value.requires_grad_(frozen not in (name, "all"))
    loss = chunked_cross_entropy(hidden, weight, targets, bias=bias, chunk=2)
    assert loss.requires_grad == (frozen != "all")
    if loss.requires_grad:
        loss.backward()
    assert {name for name, value in inputs.items() if value.grad is None} == (set(inputs) if frozen == "all" else {frozen})


def test_without_gradients_none_are_worked_out() -> None:
    hidden, weight, _, targets = drawn(5, 6, 3)
    with torch.no_grad():
        loss = chunked_cross_entropy(hidden, weight, targets)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, chunked_cross_entropy(hidden, weight, targets).detach())


def test_bf16_autocast_is_that_of_the_whole() -> None:
    hidden, weight, bias, targets = drawn(40, 30, 16)

    def under_autocast(loss_of: Callable[[], Tensor]) -> tuple[Tensor, list[Tensor]]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of()
        return loss, gradients(loss, hidden, weight, bias)

    ours, our_gradients = under_autocast(lambda: chunked_cross_entropy(hidden, weight, targets, bias=bias, chunk=16))
    theirs, their_gradients = under_autocast(lambda: F.cross_entropy(F.linear(hidden, weight, bias).float(), targets, reduction="sum"))
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs)
    assert [g.dtype for g in our_gradients] == [torch.float32] * 3
    torch.testing.assert_close(our_gradients, their_gradients, atol=0.05, rtol=0.02)  # bf16 has 8 bits


def test_bf16_weights_get_bf16_gradients() -> None:
    hidden, weight, _, targets = (x.detach().bfloat16().requires_grad_() if x.is_floating_point() else x for x in drawn(9, 6, 4))
    loss = chunked_cross_entropy(hidden, weight, targets, chunk=4)
    assert [g.dtype for g in gradients(loss, hidden, weight)] == [torch.bfloat16] * 2


def test_backward_twice_gives_the_same() -> None:
    hidden, weight, _, targets = drawn(5, 6, 3)
    loss = chunked_cross_entropy(hidden, weight, targets) * 0.5
    first = torch.autograd.grad(loss, (hidden, weight), retain_graph=True)
    torch.testing.assert_close(list(first), gradients(loss, hidden, weight), atol=0, rtol=0)


def test_gradients_of_gradients_are_refused() -> None:
    hidden, weight, _, targets = drawn(5, 6, 3)
    loss = chunked_cross_entropy(hidden, weight, targets)
    with pytest.raises(TrainingError, match=r"no gradient of its gradient \(create_graph=True\)\nhint: use cross_entropy"):
        torch.autograd.grad(loss, hidden, create_graph=True)


def test_no_tensor_of_all_logits_is_saved_for_backward() -> None:
    hidden, weight, _, targets = drawn(64, 500, 4)

    def largest_saved(loss_of: Callable[[], Tensor]) -> int:
        sizes = [0]

        def keep(x: Tensor) -> Tensor:
            sizes.append(x.numel())
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            loss_of()
        return max(sizes)

    assert largest_saved(lambda: chunked_cross_entropy(hidden, weight, targets, chunk=8)) == weight.numel()
    assert largest_saved(lambda: cross_entropy(hidden @ weight.T, targets)) == 64 * 500


@pytest.mark.parametrize("loss_of", [lambda h, t: cross_entropy(h, t), lambda h, t: chunked_cross_entropy(h, torch.ones(5, 3), t)])
def test_targets_that_do_not_fit(loss_of: Callable[[Tensor, Tensor], Tensor]) -> None:
    with pytest.raises(
        ShapeError, match=r"targets of shape \(1, 4\) for \(2, 4\) positions, expected one target for each\nhint: flatten both"
    ):
        loss_of(torch.ones(2, 4, 3), torch.zeros(1, 4, dtype=torch.long))


def test_a_chunk_of_nothing() -> None:
    with pytest.raises(ConfigError, match=r"chunk = 0, expected at least 1 token\nhint: leave it out: it follows from the vocabulary"):
        chunked_cross_entropy(torch.ones(2, 3), torch.ones(5, 3), torch.zeros(2, dtype=torch.long), chunk=0)
