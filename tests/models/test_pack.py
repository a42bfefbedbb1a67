"""Packed models: the logits of the plain one for every kind of feed-forward layer, and one clear error for the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch

import isinglass as ig
from helpers.tensors import Watch, randomised
from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.models.config import DecoderConfig
from isinglass.models.pack import fastest_layout, pack
from isinglass.models.presets import bert, mixtral, tiny
from isinglass.models.quantized import with_quantized
from isinglass.models.transformer import Decoder, fresh
from isinglass.nn.block import Block
from isinglass.nn.feedforward.glu import GLU
from isinglass.nn.feedforward.moe import MoE
from isinglass.nn.fused import FrozenLinear, LayOut, TransposedLinear
from isinglass.nn.quantized import QuantizedLinear

IDS = torch.randint(256, (2, 9), generator=torch.Generator().manual_seed(0))
TINY_MIXTRAL = "mixtral(d_model=64, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=96, context_length=64, n_experts=4)"
OWN = """
from torch import nn
from isinglass.nn.feedforward_layer import FeedForward


class Bottleneck(FeedForward):
    def __init__(self, dims):
        super().__init__()
        self.narrow, self.wide = nn.Linear(dims.d_model, 4), nn.Linear(4, dims.d_model)

    def forward(self, x, tap=None):
        return self.wide(self.narrow(x).relu())


def build(dims):
    return Bottleneck(dims)
"""


def decoder(config: DecoderConfig) -> Decoder:
    model = Decoder(config)
    randomised(model)
    return model.requires_grad_(False).eval()


def small_mixtral() -> Decoder:
    return decoder(mixtral.build("8x7b", **{**mixtral.EXAMPLE, "context_length": 64}))


def experts(model: Decoder) -> MoE:
    """The feed-forward layer of the second block."""
    layer = cast(Block, model.layers[1]).mlp
    assert isinstance(layer, MoE)
    return layer


@pytest.mark.parametrize("lay_out", [fastest_layout, FrozenLinear, TransposedLinear])
@pytest.mark.parametrize(
    "feedforward", ["glu", "glu(activation='gelu', bias=True)", "mlp", "mlp(activation='relu', bias=False)", "moe(n_experts=5, top_k=3)"]
)
def test_logits_are_those_of_the_plain_model(feedforward: str, lay_out: LayOut) -> None:
    model = decoder(tiny.build(feedforward=feedforward))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    torch.testing.assert_close(pack(model, lay_out)(IDS), model(IDS), atol=1e-5, rtol=1e-5)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_packed_mixtral_has_packed_experts_and_the_same_taps() -> None:
    model = small_mixtral()
    packed, plain_tap, packed_tap = pack(model), Watch(), Watch()
    torch.testing.assert_close(packed(IDS, tap=packed_tap), model(IDS, tap=plain_tap), atol=1e-5, rtol=1e-5)
    assert packed_tap.kept.keys() == plain_tap.kept.keys()
    assert "layers.1.mlp.router" in packed_tap.kept
    layer, plain = experts(packed), experts(model)
    assert all(cast(GLU, expert).joint is not None and not hasattr(expert, "gate_proj") for expert in layer.experts)
    assert layer.idle_weights == plain.idle_weights
    assert layer.router.weight.data_ptr() == plain.router.weight.data_ptr()  # shared, not copied


def test_a_mixtral_writes_what_its_logits_say_alone_and_in_a_batch(make_lm: Callable[..., LM]) -> None:
    lm = make_lm(TINY_MIXTRAL)
    prompts = ["hello", "a longer prompt"]
    together = ig.generate(lm, prompts, max_tokens=8)
    for prompt, result in zip(prompts, together, strict=True):
        assert ig.generate(lm, prompt, max_tokens=8).ids == result.ids
        ids = list(result.prompt_ids)
        for id in result.ids:
            assert int(lm.decoder(torch.tensor([ids]))[0, -1].argmax()) == id
            ids.append(id)
        assert len(result.ids) == 8


def test_quantised_weights_leave_experts_alone() -> None:
    model = small_mixtral()
    packed = pack(model)
    torch.testing.assert_close(with_quantized(packed, {}, QuantizedLinear)(IDS), model(IDS), atol=1e-5, rtol=1e-5)


def test_a_feed_forward_layer_of_ones_own_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "bottleneck.py").write_text(OWN, encoding="utf-8")
    lm = ig.create(f"tiny(n_layers=1, feedforward={str(tmp_path / 'bottleneck.py')!r})")
    torch.testing.assert_close(lm.packed()(IDS), lm.decoder(IDS), atol=1e-5, rtol=1e-5)
    assert len(ig.generate(lm, "hello", max_tokens=3).ids) == 3


def test_what_is_no_decoder_cannot_be_packed() -> None:
    encoder = fresh(bert.build("base", **cast(dict[str, Any], bert.EXAMPLE)), seed=0)
    with pytest.raises(EngineError, match=r"cannot pack a \w+, expected a Decoder[\s\S]*hint: call the model itself"):
        pack(encoder)


def test_compiling_a_mixtral_is_refused_before_the_work(make_lm: Callable[..., LM]) -> None:
    with pytest.raises(
        EngineError, match=r"compile = True with a mixture of experts \(moe\(n_experts=4, top_k=2\)\)[\s\S]*hint: leave compile"
    ):
        ig.generate(make_lm(TINY_MIXTRAL), "hello", max_tokens=4, compile=True)
