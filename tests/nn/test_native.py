"""Our C++ for training: the numbers and the gradients of the written-out functions, for every shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from isinglass.core.errors import EngineError
from isinglass.nn import activations, native
from isinglass.nn.attention.kernels.sdpa import SDPA
from isinglass.nn.attention.native_kernel import MOST_KEYS, NativeSDPA
from isinglass.nn.feedforward.mlp import MLP
from isinglass.nn.feedforward_layer import FeedForwardDims
from isinglass.nn.fused import fused_activation
from isinglass.nn.native_mlp import NativeMLP

pytestmark = pytest.mark.skipif(native.compiler() is None, reason="no C++ compiler on this machine")


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def answer_and_gradients(function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> list[Tensor]:
    """The output, then the gradient of each input, for a fixed gradient from above."""
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    out = function(*inputs)
    return [out, *torch.autograd.grad(out, inputs, torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape))]


def attend(kernel: SDPA, hidden: Tensor | None) -> Callable[..., Tensor]:
    return lambda q, k, v: kernel.weighted(q, k, v, hidden if hidden is None else hidden.to(q.dtype), 0.3)


HIDDEN = ("nothing", "the future", "a bias of each head", "padding of each row")


def hidden_of(kind: str, batch: int, heads: int, queries: int, keys: int) -> Tensor | None:
    """What is added to the scores: 0 or -inf, or any number; every query sees the first key at least."""
    if kind == "nothing":
        return None
    if kind == "a bias of each head":
        return drawn(1, heads, queries, keys, seed=3)
    minus = torch.full((batch, 1, queries, keys), float("-inf"))
    if kind == "the future":
        return minus[:1].triu(1 + max(0, keys - queries))
    return minus.where(torch.arange(keys) > torch.arange(batch)[:, None, None, None] % keys, 0.0)


@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 40), st.integers(1, 40), st.sampled_from([16, 32, 48]),
    st.sampled_from(HIDDEN),
)  # fmt: skip
def test_short_attention_is_attention(batch: int, kv_heads: int, group: int, queries: int, keys: int, width: int, kind: str) -> None:
    native.load("short_attention")
    heads = kv_heads * group
    hidden = hidden_of(kind, batch, heads, queries, keys)
    inputs = [drawn(batch, queries, heads, width), drawn(batch, keys, kv_heads, width, seed=1), drawn(batch, keys, kv_heads, width, seed=2)]
    inputs = [x.transpose(1, 2) for x in inputs]  # as the layer has them: heads side by side in memory
    ours = answer_and_gradients(attend(NativeSDPA(), hidden), inputs)
    exact = answer_and_gradients(attend(SDPA(), hidden), [x.double() for x in inputs])
    for one, other in zip(ours, exact, strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-5, rtol=1e-5)


def test_a_query_that_sees_nothing_stays_finite_and_teaches_nothing() -> None:
    native.load("short_attention")
    hidden = torch.zeros(1, 1, 4, 4)
    hidden[..., 2, :] = float("-inf")
    inputs = [drawn(1, 2, 4, 16, seed=number) for number in range(3)]
    out, *gradients = answer_and_gradients(attend(NativeSDPA(), hidden), inputs)
    assert bool(torch.isfinite(out).all()) and not out[:, :, 2].any()
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients) and not gradients[0][:, :, 2].any()


@pytest.mark.parametrize("place", range(3), ids=["q", "k", "v"])
def test_what_is_no_number_shows(place: int) -> None:
    """A run stops at a loss that is no number, so no kernel may make one out of a fault."""
    native.load("short_attention")
    inputs = [drawn(1, 2, 20, 16, seed=number) for number in range(3)]
    inputs[place][0, 1, 3, 2] = float("nan")
    ours, theirs = (attend(kernel, None)(*inputs) for kernel in (NativeSDPA(), SDPA()))
    assert bool(theirs.isnan().any()) and torch.equal(ours.isnan(), theirs.isnan())


@pytest.mark.parametrize("case", ["long", "narrow", "fp64", "trained bias", "no gradients"])
def test_what_the_attention_does_not_cover_is_torchs(case: str) -> None:
    keys, width, dtype = MOST_KEYS + 1 if case == "long" else 5, 12 if case == "narrow" else 16, torch.float64 if case == "fp64" else None
    q, k, v = (drawn(1, 2, keys, width, seed=number).to(dtype).requires_grad_(case != "no gradients") for number in range(3))
    hidden = torch.zeros(1, 2, keys, keys, dtype=dtype, requires_grad=case == "trained bias")
    with torch.set_grad_enabled(case != "no gradients"):
        out = NativeSDPA().weighted(q, k, v, hidden, 0.3)
        assert torch.equal(out, SDPA().weighted(q, k, v, hidden, 0.3))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [1, 7, 250])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_the_feed_forward_layer_in_one_pass(name: str, bias: bool, rows: int, threads: int) -> None:
    native.load("mlp")
    exact = MLP(FeedForwardDims(d_model=10, d_ff=37), name, bias).double()
    plain = MLP(FeedForwardDims(d_model=10, d_ff=37), name, bias)
    plain.load_state_dict(exact.state_dict())
    plain.activation = fused_activation(plain.activation)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        x = drawn(rows, 1, 10) * 4
        found = {}
        for layer, given in ((exact, x.double()), (NativeMLP(plain), x)):
            given = given.clone().requires_grad_()
            out = layer(given)
            out.backward(torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out))
            found[layer] = [out, given.grad, *(weight.grad for weight in layer.parameters())]
    finally:
        torch.set_num_threads(before)
    (expected, ours) = found.values()
    for one, other in zip(ours, expected, strict=True):
        # sums of 250 numbers are rounded as their largest terms are, not as their small results
        assert (one - other).abs().max() < 5e-6 * other.abs().max()


def test_a_frozen_weight_gets_no_gradient() -> None:
    native.load("mlp")
    plain = MLP(FeedForwardDims(d_model=16, d_ff=32), "relu", True)
    plain.activation = fused_activation(plain.activation)
    plain.up_proj.requires_grad_(False)
    layer, x = NativeMLP(plain), drawn(3, 16).requires_grad_()
    layer(x).sum().backward()
    assert plain.up_proj.weight.grad is None and plain.up_proj.bias.grad is None
    assert plain.down_proj.weight.grad is not None and x.grad is not None


@pytest.mark.parametrize("part", ["mlp", "attention"])
def test_gradients_of_gradients_are_refused(part: str) -> None:
    """They would come out wrong without a word: the slopes that were kept count as constants."""
    x = drawn(1, 2, 4, 16).requires_grad_()
    if part == "mlp":
        native.load("mlp")
        weight = nn.Parameter(drawn(16, 16))
        out = torch.ops.isinglass.mlp_gelu(x, weight, None, weight, None)
    else:
        native.load("short_attention")
        out = torch.ops.isinglass.short_attention(x, x, x, None, 0.25)
    with pytest.raises(RuntimeError, match="no gradient of its gradient"):
        torch.autograd.grad(out.sum(), x, create_graph=True)


def test_without_a_compiler_the_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import isinglass as ig

    monkeypatch.setattr(native, "compiler", lambda: None)
    native.load.cache_clear()
    with pytest.raises(EngineError, match=r"mlp.cpp needs a C\+\+ compiler") as caught:
        ig.train(ig.create("tiny"), ["to be or not to be " * 40], steps=1, config={"context_length": 16, "engine": "native"})
    assert caught.value.hint == "install g++, or set CXX"
    native.load.cache_clear()
