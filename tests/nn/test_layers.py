"""Norms, activations and feed-forward layers against torch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.tensors import Watch, randomised
from isinglass.core.errors import VariantError
from isinglass.nn import feedforward
from isinglass.nn.activations import ACTIVATIONS, activation
from isinglass.nn.feedforward_layer import FeedForward, FeedForwardDims
from isinglass.nn.fused import FrozenLinear, TransposedLinear, fused_activation, fused_norm, joined
from isinglass.nn.norms import LayerNorm, RMSNorm, build_norm
from isinglass.nn.tap import Scoped, tapped

X = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0)) * 3 + 1
WIDE = torch.linspace(-12, 12, 2001)
TORCH = {"gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu, "relu": F.relu}


@pytest.mark.parametrize("eps", [1e-5, 1e-6, 0.1])
@pytest.mark.parametrize(("ours", "theirs"), [(LayerNorm, nn.LayerNorm), (RMSNorm, nn.RMSNorm)])
def test_norms_equal_torch(ours: type, theirs: type, eps: float) -> None:
    mine, oracle = randomised(ours(16, eps)), theirs(16, eps=eps)
    oracle.load_state_dict(mine.state_dict())
    torch.testing.assert_close(mine(X), oracle(X), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
def test_norms_compute_in_fp32(name: str) -> None:
    """A bf16 mean over many features drifts; the result differs from the fp32 one by its last rounding only."""
    x = (torch.randn(1, 4096, generator=torch.Generator().manual_seed(0)) + 8).bfloat16()
    half, whole = build_norm(name, 4096, 1e-5).bfloat16()(x), build_norm(name, 4096, 1e-5)(x.float())
    assert half.dtype is torch.bfloat16
    torch.testing.assert_close(half.float(), whole, atol=0.0, rtol=2**-8)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_equal_torch(name: str) -> None:
    torch.testing.assert_close(activation(name)(WIDE), TORCH[name](WIDE), atol=2e-6, rtol=1e-5)


def test_every_activation_has_an_oracle() -> None:
    assert set(ACTIVATIONS) == set(TORCH)


def test_the_two_gelus_differ_by_at_most_5e_4() -> None:
    difference = (ACTIVATIONS["gelu"](WIDE) - ACTIVATIONS["gelu_tanh"](WIDE)).abs().max()
    assert 1e-4 < difference < 5e-4


def test_an_unknown_activation_names_the_known_ones() -> None:
    with pytest.raises(VariantError, match=r"unknown activation 'gelo'[\s\S]*known: gelu, gelu_tanh, relu, silu[\s\S]*did you mean 'gelu'"):
        activation("gelo")


def layer(text: str) -> FeedForward:
    return randomised(feedforward.family.resolve(text, FeedForwardDims(16, 24)))  # type: ignore[return-value]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_mlp_equals_its_formula(name: str) -> None:
    mlp = layer(f"mlp(activation={name!r})")
    oracle = nn.Sequential(nn.Linear(16, 24), nn.Linear(24, 16))
    oracle[0].load_state_dict(mlp.up_proj.state_dict())
    oracle[1].load_state_dict(mlp.down_proj.state_dict())
    tap = Watch()
    torch.testing.assert_close(mlp(X, tap), oracle[1](TORCH[name](oracle[0](X))), atol=2e-5, rtol=1e-5)
    assert set(tap.kept) == {"mlp.pre", "mlp.post"}
    torch.testing.assert_close(tap.kept["mlp.pre"], TORCH[name](oracle[0](X)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bias", [False, True])
def test_glu_equals_transformers_llama(bias: bool) -> None:
    from transformers.models.llama.modeling_llama import LlamaConfig, LlamaMLP

    glu = layer(f"glu(bias={bias})")
    oracle = LlamaMLP(LlamaConfig(hidden_size=16, num_attention_heads=4, intermediate_size=24, hidden_act="silu", mlp_bias=bias))
    oracle.load_state_dict(glu.state_dict())
    torch.testing.assert_close(glu(X), oracle(X), atol=1e-5, rtol=1e-5)


def test_the_examples_of_every_kind_build_and_keep_the_width() -> None:
    for name in feedforward.family.names():
        module = feedforward.family.module(name)
        built = module.build(FeedForwardDims(16, 24), **module.EXAMPLE)
        assert built(X).shape == X.shape


@pytest.mark.parametrize("lay_out", [FrozenLinear, TransposedLinear])
@pytest.mark.parametrize("bias", [False, True])
def test_joint_layers_equal_plain_ones_in_every_layout(lay_out: Callable[..., nn.Module], bias: bool) -> None:
    first, second = randomised(nn.Linear(16, 8, bias=bias)), randomised(nn.Linear(16, 24, bias=bias), 1)
    one, two = joined([first, second], lay_out)(X)  # type: ignore[list-item]
    torch.testing.assert_close(one, first(X), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(two, second(X), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [LayerNorm, RMSNorm])
def test_fused_norms_equal_the_written_out_ones(kind: type) -> None:
    norm = randomised(kind(16, 1e-5))
    torch.testing.assert_close(fused_norm(norm)(X), norm(X), atol=1e-6, rtol=1e-5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_fused_activations_equal_the_written_out_ones(name: str) -> None:
    torch.testing.assert_close(fused_activation(ACTIVATIONS[name])(WIDE), ACTIVATIONS[name](WIDE), atol=2e-6, rtol=1e-5)


def test_taps_are_asked_by_full_name_and_may_replace() -> None:
    class Double(Watch):
        def __call__(self, name: str, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().__call__(name, x)

    tap = Double("layers.3.mlp.post")
    scoped = Scoped(tap, "layers.3.")
    assert torch.equal(tapped(scoped, "mlp.post", X), 2 * X)
    assert tapped(scoped, "mlp.pre", X) is X
    assert tapped(None, "mlp.post", X) is X
    assert tap.seen == ["layers.3.mlp.post", "layers.3.mlp.pre"]
