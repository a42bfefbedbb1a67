"""The training form: logits and gradients of the plain model, the same parameters under the same names."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import nn

from helpers.tensors import randomised
from isinglass.models.config import ModelConfig
from isinglass.models.presets import bert, gpt2, mixtral, t5, tiny
from isinglass.models.trainable import fused, use_native
from isinglass.models.transformer import assembled
from isinglass.nn.attention.layer import Attention
from isinglass.nn.attention.native_kernel import NativeSDPA
from isinglass.nn.native import compiler
from isinglass.nn.native_mlp import NativeMLP

IDS = torch.randint(40, (2, 9), generator=torch.Generator().manual_seed(0))
SMALL: dict[str, Any] = dict(vocab_size=40, n_layers=2, d_model=32, n_heads=4, context_length=32)
CONFIGS: dict[str, ModelConfig] = {
    "gpt2": gpt2.build(**SMALL),
    "gpt2 without biases": gpt2.build(**SMALL, bias="none", feedforward="mlp(activation='gelu', bias=False)"),
    "llama": tiny.build(**SMALL),
    "untied": tiny.build(**SMALL, embeddings="untied"),
    "relu": gpt2.build(**SMALL, feedforward="mlp(activation='relu')"),
    "mixtral": mixtral.build("8x7b", **{**mixtral.EXAMPLE, "context_length": 64, "vocab_size": 40}),
    "bert": bert.build("base", **{**cast(dict[str, Any], bert.EXAMPLE), "vocab_size": 40}),
    "t5": t5.build(**{**cast(dict[str, Any], t5.EXAMPLE), "vocab_size": 40}),
}

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler on this machine")


def plain(name: str) -> nn.Module:
    model = assembled(CONFIGS[name])
    randomised(model)
    return model.requires_grad_(True).train()


def answer(model: nn.Module, name: str) -> torch.Tensor:
    given = (IDS, IDS.flip(1)) if name == "t5" else (IDS,)
    result = model(*given)
    tensors = [result] if isinstance(result, torch.Tensor) else list(result.values())
    return torch.cat([tensor.flatten() for tensor in tensors])


def gradients(model: nn.Module, name: str) -> dict[str, torch.Tensor | None]:
    model.zero_grad()
    result = answer(model, name)
    weights = torch.linspace(-1, 1, result.numel())
    (result * weights).mean().backward()
    return {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("engine", ["eager", pytest.param("native", marks=needs_compiler)])
@pytest.mark.parametrize("name", CONFIGS)
def test_answers_and_gradients_are_those_of_the_plain_model(name: str, engine: str) -> None:
    model = plain(name)
    fast = fused(model)
    if engine == "native":
        use_native(fast)
    torch.testing.assert_close(answer(fast, name), answer(model, name), atol=1e-5, rtol=1e-5)
    ours, theirs = gradients(fast, name), gradients(model, name)
    assert ours.keys() == theirs.keys()
    assert sum(g is not None for g in theirs.values()) > 8
    for parameter, gradient in theirs.items():
        torch.testing.assert_close(ours[parameter], gradient, atol=1e-5, rtol=1e-5, msg=lambda text, p=parameter: f"{p}: {text}")


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_are_the_same_ones_under_the_same_names(name: str) -> None:
    model = plain(name)
    before = [type(part) for part in model.modules()]
    fast = fused(model)
    assert [(n, id(p)) for n, p in fast.named_parameters()] == [(n, id(p)) for n, p in model.named_parameters()]
    assert list(fast.state_dict()) == list(model.state_dict())
    assert [type(part) for part in model.modules()] == before
    assert any(part.joint is not None for part in fast.modules() if isinstance(part, Attention))
    assert all(part.joint is None for part in model.modules() if isinstance(part, Attention))


def test_a_step_of_the_fast_form_is_a_step_of_the_model() -> None:
    model = plain("gpt2")
    fast, before = fused(model), answer(model, "gpt2").detach()
    optimizer = torch.optim.SGD(fast.parameters(), lr=0.1)
    gradients(fast, "gpt2")
    optimizer.step()
    after = answer(model, "gpt2")
    assert (after - before).abs().max() > 1e-4
    torch.testing.assert_close(answer(fast, "gpt2"), after, atol=1e-5, rtol=1e-5)


def test_what_replaced_a_linear_layer_is_still_called() -> None:
    """An adapter wraps q_proj: joining the weights would leave it out."""
    model = plain("gpt2")
    attention = next(part for part in model.modules() if isinstance(part, Attention))
    attention.q_proj = nn.Sequential(attention.q_proj, nn.Tanh())  # type: ignore[assignment]
    fast = fused(model)
    assert next(part for part in fast.modules() if isinstance(part, Attention)).joint is None
    torch.testing.assert_close(answer(fast, "gpt2"), answer(model, "gpt2"), atol=1e-5, rtol=1e-5)


def test_it_can_be_copied_and_frozen_like_any_model() -> None:
    fast = fused(plain("gpt2"))
    again = fused(fast)
    torch.testing.assert_close(answer(again, "gpt2"), answer(fast, "gpt2"))
    fast.requires_grad_(False)
    assert not answer(fast, "gpt2").requires_grad


@needs_compiler
def test_native_parts_stand_where_they_can_and_only_there() -> None:
    model = plain("gpt2")
    adapted = model.layers[1].mlp  # type: ignore[index, union-attr]
    adapted.up_proj = nn.Sequential(adapted.up_proj)  # type: ignore[assignment]
    fast = fused(model)
    use_native(fast)
    assert [type(block.mlp) is NativeMLP for block in fast.layers] == [True, False]  # type: ignore[union-attr]
    assert all(isinstance(part.parts.kernel, NativeSDPA) for part in fast.modules() if isinstance(part, Attention))
    assert not any(isinstance(part, NativeMLP) for part in model.modules())
    assert list(fast.state_dict()) == list(model.state_dict())
    torch.testing.assert_close(answer(fused(fast), "gpt2"), answer(model, "gpt2"), atol=1e-5, rtol=1e-5)
