"""Mixture of experts against transformers' Mixtral block and against its formula."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from helpers.tensors import Watch, randomised
from isinglass.core.errors import VariantError
from isinglass.models.presets import mixtral
from isinglass.models.summary import flops_per_token, summarise
from isinglass.models.transformer import Decoder, on_meta
from isinglass.nn import feedforward
from isinglass.nn.feedforward.moe import MoE
from isinglass.nn.feedforward_layer import FeedForwardDims

X = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0))


def layer(text: str = "moe(n_experts=5, top_k=2)") -> MoE:
    return randomised(feedforward.family.resolve(text, FeedForwardDims(16, 24)))  # type: ignore[return-value]


@pytest.mark.parametrize("top_k", [1, 2, 5])
def test_equals_transformers_mixtral(top_k: int) -> None:
    from transformers.models.mixtral.modeling_mixtral import MixtralConfig, MixtralSparseMoeBlock

    ours = layer(f"moe(n_experts=5, top_k={top_k})")
    config = MixtralConfig(hidden_size=16, num_attention_heads=4, intermediate_size=24, num_local_experts=5, num_experts_per_tok=top_k)
    config._experts_implementation = "eager"
    oracle = MixtralSparseMoeBlock(config)
    state = {"gate.weight": ours.router.weight}
    state["experts.gate_up_proj"] = torch.stack([torch.cat([e.gate_proj.weight, e.up_proj.weight]) for e in ours.experts])
    state["experts.down_proj"] = torch.stack([e.down_proj.weight for e in ours.experts])
    oracle.load_state_dict(state)
    torch.testing.assert_close(ours(X), oracle(X), atol=1e-5, rtol=1e-5)


def test_a_token_gets_the_weighted_answers_of_its_best_experts() -> None:
    ours, tap = layer(), Watch()
    y = ours(X, tap).detach()
    assert set(tap.kept) == {"mlp.router", "mlp.post"}
    token, scores = X[1, 3], tap.kept["mlp.router"].detach()[1, 3]
    first, second = sorted(range(5), key=lambda n: -float(scores[n]))[:2]
    share = float(scores[first].exp() / (scores[first].exp() + scores[second].exp()))
    expected = share * ours.experts[first](token) + (1 - share) * ours.experts[second](token)
    torch.testing.assert_close(y[1, 3], expected.detach(), atol=1e-5, rtol=1e-5)
    assert len({int(n) for n in tap.kept["mlp.router"].argmax(-1).flatten()}) > 1


def test_gradients_reach_the_router_and_the_chosen_experts_alone() -> None:
    ours = layer()
    ours(X[:, :1]).square().sum().backward()
    chosen = {int(n) for n in ours.router(X[:, :1]).topk(2).indices.flatten()}
    assert ours.router.weight.grad is not None
    assert ours.router.weight.grad.any()
    assert {n for n, expert in enumerate(ours.experts) if expert.up_proj.weight.grad is not None} == chosen
    assert len(chosen) < 5


def test_the_published_sizes() -> None:
    """46.7B weights, of which a token uses 12.9B (Jiang et al. 2024, section 2)."""
    config = mixtral.build()
    assert summarise(config).n_parameters == 46_702_792_704
    used = flops_per_token(config, on_meta(config), 0) / 2 + config.vocab_size * config.d_model  # the token table is not multiplied
    assert used / 1e9 == pytest.approx(12.9, abs=0.05)


def test_predicted_flops_are_those_counted() -> None:
    config = mixtral.build(**mixtral.EXAMPLE, kernel="reference", context_length=64)
    model = randomised(Decoder(config)).requires_grad_(False)
    counter = FlopCounterMode(display=False)
    with counter:
        model(torch.tensor([[3]]))
    assert counter.get_total_flops() == flops_per_token(config, model, 1)


def test_more_experts_than_there_are() -> None:
    with pytest.raises(
        VariantError, match=r"moe: top_k = 3, expected 1 to n_experts = 2[\s\S]*hint: Mixtral has moe\(n_experts=8, top_k=2\)"
    ):
        layer("moe(n_experts=2, top_k=3)")
    with pytest.raises(VariantError, match="moe: top_k = 0"):
        layer("moe(top_k=0)")
