"""The block in one pass of C++ beside the written-out block in fp64: output and every gradient."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import isinglass as ig
from helpers.tensors import randomised
from isinglass.models.trainable import fused, use_native
from isinglass.nn import activations, native
from isinglass.nn.attention.slots import Slots
from isinglass.nn.native_block import NativeBlock

pytestmark = pytest.mark.skipif(native.compiler() is None, reason="no C++ compiler on this machine")

MASKS = ("causal", "full", "causal & sliding_window(3)", "padding")


def decoder(activation: str = "gelu_tanh", bias: bool = True, *, kv_heads: int = 2, mask: str = "causal", **settings: object) -> nn.Module:
    """One block of two heads of 16, its weights far from flat."""
    feedforward = f"mlp(activation={activation!r}, bias={bias})"
    size = dict(n_layers=1, d_model=32, n_heads=2, d_ff=48, context_length=200, feedforward=feedforward, dropout=0.0, **settings)
    text = f"gpt2({', '.join(f'{name}={value!r}' for name, value in size.items())})"
    attention = {"bias": "all" if bias else "none", "n_kv_heads": kv_heads, "mask": "causal" if mask == "padding" else mask}
    return randomised(ig.create(text, attention=attention).model).requires_grad_(True).train()  # type: ignore[return-value]


def native_form(model: nn.Module) -> nn.Module:
    form = fused(model)
    use_native(form)
    return form


def through(block: nn.Module, x: Tensor, slots: Slots, above: Tensor) -> list[Tensor]:
    """The output, the gradient of what went in, and those of the weights in the order of their names."""
    x = x.detach().clone().requires_grad_()
    out = block(x, layer=0, slots=slots, k_slots=slots)
    weights = [weight for _, weight in sorted(block.named_parameters())]
    return [out.detach(), *torch.autograd.grad(out, [x, *weights], above)]


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(activations.ACTIVATIONS)), st.booleans(), st.sampled_from([1, 2]), st.sampled_from(MASKS), st.integers(2, 5),
    st.integers(1, 130), st.sampled_from([1, 2]),
)  # fmt: skip
def test_equal_to_the_written_out_block(activation: str, bias: bool, kv_heads: int, mask: str, batch: int, time: int, threads: int) -> None:
    plain = decoder(activation, bias, kv_heads=kv_heads, mask=mask)
    exact = copy.deepcopy(plain).double()
    generator = torch.Generator().manual_seed(time)
    x, above = (torch.randn(batch, time, 32, generator=generator) for _ in range(2))
    slots = Slots.first(torch.zeros(batch, time, dtype=torch.long))
    if mask == "padding":
        slots = replace(slots, valid=torch.arange(time) >= torch.arange(batch)[:, None] % time)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours = through(native_form(plain).layers[0], x, slots, above)
    finally:
        torch.set_num_threads(before)
    expected = through(exact.layers[0], x.double(), slots, above.double())
    for one, other in zip(ours, expected, strict=True):
        # sums of some hundred numbers are rounded as their largest terms are, not as their small results
        assert (one - other).abs().max() < 1e-5 * max(1.0, float(other.abs().max()))


def names(model: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in native_form(model).layers]


def test_where_it_serves() -> None:
    assert names(decoder()) == ["NativeBlock"]
    assert names(ig.create("llama(n_layers=1, d_model=32, n_heads=2, n_kv_heads=1, d_ff=48)").model) == ["Block"]  # rotated queries
    assert names(ig.create("gpt2(n_layers=1, d_model=32, n_heads=2)", attention={"position": "alibi"}).model) == ["Block"]
    assert names(ig.create("gpt2(n_layers=1, d_model=40, n_heads=5)").model) == ["Block"]  # heads of 8
    assert names(decoder(norm="rms_norm")) == ["Block"]


@pytest.mark.parametrize("case", ["long", "one text", "dropout", "no gradients", "a tap", "fp64"])
def test_elsewhere_it_is_the_block_it_was(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = decoder()
    form = native_form(plain)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    if case == "dropout":
        for module in (plain.layers[0], form.layers[0]):
            module.dropout.p = 0.5
    if case == "fp64":
        plain, form = plain.double(), form.double()
    ids = torch.zeros(1 if case == "one text" else 2, 150 if case == "long" else 5, dtype=torch.long)
    monkeypatch.setattr(torch.ops.isinglass, "block_gelu_tanh", None, raising=False)  # a call would fail
    with torch.set_grad_enabled(case != "no gradients"):
        tap = Everything() if case == "a tap" else None
        torch.manual_seed(0)
        expected = plain(ids, tap=tap)
        torch.manual_seed(0)
        torch.testing.assert_close(form(ids, tap=tap), expected, atol=1e-5, rtol=1e-5)


class Everything:
    def wants(self, name: str) -> bool:
        return True

    def __call__(self, name: str, x: Tensor) -> Tensor:
        return x


def test_a_frozen_weight_gets_no_gradient() -> None:
    plain = decoder()
    layer = plain.layers[0]
    for weight in (layer.mlp.up_proj.weight, layer.attention.o_proj.bias, layer.mlp_norm.weight):
        weight.requires_grad_(False)
    form = native_form(plain)
    assert isinstance(form.layers[0], NativeBlock)
    form(torch.zeros(2, 5, dtype=torch.long)).sum().backward()
    without = {name for name, weight in plain.layers[0].named_parameters() if weight.grad is None}
    assert without == {"mlp.up_proj.weight", "attention.o_proj.bias", "mlp_norm.weight"}


def test_gradients_of_gradients_are_refused() -> None:
    x, slots = torch.randn(2, 5, 32, requires_grad=True), Slots.first(torch.zeros(2, 5, dtype=torch.long))
    out = native_form(decoder()).layers[0](x, layer=0, slots=slots, k_slots=slots)
    with pytest.raises(RuntimeError, match="no gradient of its gradient"):
        torch.autograd.grad(out.sum(), x, create_graph=True)
