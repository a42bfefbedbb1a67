"""Parameter counts of the published models, counted on the meta device without making a weight."""

from __future__ import annotations

import pytest
import torch

from isinglass.models import presets
from isinglass.models.config import EncoderDecoderConfig, HierarchicalConfig, ModelConfig
from isinglass.models.transformer import fresh, on_meta

COUNTS = {
    "gpt2('124m')": 124_439_808,
    "gpt2('355m')": 354_823_168,
    "gpt2('774m')": 774_030_080,
    "gpt2('1558m')": 1_557_611_200,
    "llama('smollm2-135m')": 134_515_008,
    "llama('llama3.2-1b')": 1_235_814_400,
    "llama('llama3.1-8b')": 8_030_261_248,
    "mistral": 7_241_732_096,
    "bert(heads=['pooler'])": 109_482_240,
    "bert('large', heads=['pooler'])": 335_141_888,
    "bert('minilm-l6')": 22_713_216,
    "t5": 60_506_624,
    "t5('base')": 222_903_552,
    "t5('large')": 737_668_096,
    "t5('v1.1-small')": 76_961_152,
}


@pytest.mark.parametrize("text", COUNTS)
def test_parameters_of_published_models(text: str) -> None:
    model = on_meta(presets.family.resolve(text))
    assert sum(weight.numel() for weight in model.parameters()) == COUNTS[text]


@pytest.mark.parametrize("name", presets.family.names())
def test_examples_of_every_preset_run(name: str) -> None:
    module = presets.family.module(name)
    config = module.build(**module.EXAMPLE)
    assert isinstance(config, ModelConfig)
    model, ids = fresh(config, 0).eval(), torch.tensor([[1, 2, 3]])
    if isinstance(config, EncoderDecoderConfig):
        assert model(ids, ids).shape == (1, 3, config.vocab_size)
    elif isinstance(config, HierarchicalConfig):
        assert model(ids[None]).documents.shape == (1, config.d_model)
    elif config.architecture == "decoder":
        assert model(ids).shape == (1, 3, config.vocab_size)
    else:
        answer = model(ids)
        assert len(answer["classification"] if isinstance(answer, dict) else answer) == 1


def test_fresh_weights_follow_gpt2_and_the_seed() -> None:
    config = presets.family.resolve("gpt2(n_layers=2, d_model=64, n_heads=4, vocab_size=500)")
    first, second, other = (fresh(config, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["embed_tokens.weight"], other["embed_tokens.weight"])
    assert abs(float(first["embed_tokens.weight"].std()) - 0.02) < 0.001
    assert abs(float(first["layers.0.mlp.down_proj.weight"].std()) - 0.01) < 0.001  # 0.02 / sqrt(2 * 2 layers)
    assert not first["layers.1.attention.q_proj.bias"].any()
    assert torch.equal(first["norm.weight"], torch.ones(64))
