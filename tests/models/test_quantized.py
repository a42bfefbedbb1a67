"""The products of the real file: from its own codes, equal to those of the dense weights."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

import isinglass as ig
from isinglass.generation.lm import LM
from isinglass.models.pack import pack
from isinglass.models.quantized import read_quantized, with_quantized
from isinglass.models.transformer import on_meta
from isinglass.nn.quantized import QuantizedLinear, bf16_product

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="the fp32 product is built by a C++ compiler")
IDS = torch.tensor([[504, 3575, 282, 4649, 314]])


def test_every_matrix_of_smollm2_is_quantised_and_equal(smollm2: LM) -> None:
    weights = smollm2.quantized()
    assert len(weights) == 1 + 7 * 30
    assert {weight.bits for name, weight in weights.items() if name != "embed_tokens.weight"} == {4}
    own = smollm2.model.state_dict()
    name = "layers.7.attention.q_proj.weight"  # its rows stand in another order in the file
    assert torch.equal(weights[name].dense(), own[name])


def test_a_changed_weight_stays_dense(smollm2: LM) -> None:
    assert smollm2.file is not None
    model = smollm2.model
    kept = model.layers[0].mlp.down_proj.weight.data  # type: ignore[union-attr]
    try:
        model.layers[0].mlp.down_proj.weight.data = kept + 1e-6  # type: ignore[union-attr]
        changed = read_quantized(smollm2.file, model)
    finally:
        model.layers[0].mlp.down_proj.weight.data = kept  # type: ignore[union-attr]
    assert set(smollm2.quantized()) - set(changed) == {"layers.0.mlp.down_proj.weight"}


@needs_compiler
def test_logits_equal_those_of_the_dense_model(smollm2: LM) -> None:
    with torch.inference_mode():
        dense = pack(smollm2.model)(IDS)
        quantised = with_quantized(pack(smollm2.model), smollm2.quantized(), QuantizedLinear)(IDS)
    assert (quantised - dense).abs().max() < 1e-3  # of logits up to 30; 5e-5 of them, the order of fp32 sums over 30 layers


def test_bf16_logits_are_as_near_to_fp32_as_bf16_weights(smollm2: LM) -> None:
    with torch.inference_mode():
        exact = smollm2.model(IDS).log_softmax(-1)
        coarse = ig.load("smollm2", dtype="bfloat16")
        plain = coarse.model(IDS).float().log_softmax(-1)
        packed = with_quantized(pack(coarse.model), coarse.quantized(), bf16_product)(IDS).float().log_softmax(-1)
    assert (packed - exact).abs().mean() < 1.25 * (plain - exact).abs().mean()


def test_a_model_on_another_device_keeps_its_dense_weights(smollm2: LM) -> None:
    assert replace(smollm2, model=on_meta(smollm2.config)).quantized() == {}  # type: ignore[arg-type]


@needs_compiler
def test_a_product_with_a_bias_stays_dense(smollm2: LM) -> None:
    packed, weights = pack(smollm2.model), smollm2.quantized()
    packed.layers[0].attention.o_proj.bias = torch.nn.Parameter(torch.zeros(576))  # type: ignore[union-attr]
    products = with_quantized(packed, weights, QuantizedLinear).layers
    assert [isinstance(layer.attention.o_proj, QuantizedLinear) for layer in products[:2]] == [False, True]  # type: ignore[union-attr]


def test_other_files_have_none() -> None:
    assert ig.create("tiny").quantized() == {}
