"""Rotary scalings in the settings of others: YaRN against transformers in both directions, GGUF's keys, and what is refused."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from safetensors.torch import load_file

import isinglass as ig
from helpers.tensors import random_ids
from isinglass.core.errors import CheckpointError
from isinglass.models import checkpoint
from isinglass.models.presets import llama
from isinglass.nn.attention import positions
from isinglass.nn.attention.dims import Dims

from .conftest import LLAMA
from .theirs import reload, save, shaken

ORIGINAL, LONGEST = 16, 64
IDS = random_ids(2, 60, vocab=256)  # almost four times the original context
PLAIN = dict(rope_type="yarn", rope_theta=10_000.0, factor=4.0, original_max_position_embeddings=ORIGINAL)
TURNS = dict(beta_fast=0.3, beta_slow=0.02)  # the ramp runs from wave 0.9 to 2.1 of 4; with the usual 32 and 1 it would end before wave 1

YARN: dict[str, dict[str, Any]] = {
    "as the paper": {},
    "turns of its own": TURNS,
    "attention factor": dict(attention_factor=1.7),
    "attention factor of none": dict(attention_factor=1.0),
    "shares of the growth": dict(mscale=0.7, mscale_all_dim=0.3),
    "equal shares": dict(mscale=1.0, mscale_all_dim=1.0),
    "one share alone": dict(mscale=0.7),
    "a factor beats shares": dict(mscale=0.7, mscale_all_dim=0.3, attention_factor=1.2),
    "exact edges": dict(truncate=False, **TURNS),
    "whole edges": dict(truncate=True, **TURNS),
    "another base": dict(rope_theta=500_000.0),
    "no stretch": dict(factor=1.0, original_max_position_embeddings=LONGEST),
    "everything": dict(beta_fast=0.4, beta_slow=0.03, attention_factor=0.9, truncate=False),
}


def theirs(rope: dict[str, Any], **more: Any) -> Any:
    """A random Llama of transformers; the published weights of YaRN models say no more than this about the scaling."""
    import transformers

    config = transformers.LlamaConfig(**LLAMA, max_position_embeddings=LONGEST, rope_parameters=rope, **more)
    config._attn_implementation = "eager"
    return shaken(transformers.LlamaForCausalLM(config))


def logits(model: Any, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad():
        return model(ids).logits


@pytest.mark.parametrize("kind", YARN)
def test_yarn_equals_transformers_in_both_directions(kind: str, tmp_path: Path) -> None:
    model = theirs({**PLAIN, **YARN[kind]})
    folder, expected = save(model, tmp_path / "theirs"), logits(model)
    lm = ig.load(folder)
    torch.testing.assert_close(lm.model(IDS), expected, atol=1e-4, rtol=0)

    back = ig.export(lm, tmp_path / "back")
    torch.testing.assert_close(logits(reload("LlamaForCausalLM", back)), expected, atol=1e-6, rtol=0)
    original, exported = load_file(folder / "model.safetensors"), load_file(back / "model.safetensors")
    assert original.keys() == exported.keys()
    assert all(torch.equal(original[name], exported[name]) for name in original)
    assert torch.equal(ig.load(back).model(IDS), lm.model(IDS))


def test_each_setting_of_yarn_changes_the_logits() -> None:
    """The test above would pass with an ignored setting if that setting did nothing here."""
    found = {kind: logits(theirs({**PLAIN, **more})) for kind, more in YARN.items()}
    found["no yarn"] = logits(theirs(dict(rope_type="default", rope_theta=10_000.0)))
    same = [
        {"as the paper", "one share alone"},
        {"equal shares", "attention factor of none"},
        {"turns of its own", "whole edges"},
        {"no stretch", "no yarn"},
    ]
    for (kind, value), (other, another) in combinations(found.items(), 2):
        far = float((value - another).abs().max())
        assert far < 1e-4 if {kind, other} in same else far > 1e-3, (kind, other)


def test_the_form_of_transformers_4(tmp_path: Path) -> None:
    """`rope_scaling` with `type`, and the original context beside it or not at all."""
    model = theirs({**PLAIN, **TURNS})
    folder, expected = save(model, tmp_path), logits(model)
    file = folder / "config.json"
    config = {key: value for key, value in json.loads(file.read_text()).items() if key != "rope_parameters"}
    old = {"rope_theta": 10_000.0, "rope_scaling": {"type": "yarn", "factor": 4.0, **TURNS}, "original_max_position_embeddings": 16}
    file.write_text(json.dumps({**config, **old}))
    torch.testing.assert_close(ig.load(folder).model(IDS), expected, atol=1e-4, rtol=0)
    del old["original_max_position_embeddings"]
    file.write_text(json.dumps({**config, **old}))
    assert "original_context=64" in str(ig.load(folder).config.attention.position)


def test_a_stretch_that_follows_from_the_lengths(tmp_path: Path) -> None:
    """DeepSeek's way: `factor` null is the ratio of the context to the original one."""
    values = {**LLAMA, "max_position_embeddings": LONGEST, "rope_parameters": {**PLAIN, "factor": None}}
    position = llama.from_huggingface(values).attention.position
    assert position == llama.from_huggingface({**values, "rope_parameters": PLAIN}).attention.position


@pytest.mark.parametrize(
    "position",
    [
        "rotary(scaling=yarn(4, 16))",
        "rotary(base=500000, scaling=yarn(factor=4.0, original_context=16, magnitude=1, edges='exact'))",
        "rotary(scaling=llama3(factor=32.0))",
        "rotary(scaling=linear(2))",
    ],
)
def test_a_created_model_is_read_by_transformers(position: str, tmp_path: Path) -> None:
    """However its scaling is spelled, with or without what goes without saying."""
    lm = ig.create("tiny", attention={"position": position})
    folder = ig.export(lm, tmp_path)
    torch.testing.assert_close(logits(reload("LlamaForCausalLM", folder)), lm.model(IDS), atol=1e-4, rtol=0)


def test_a_scaling_that_they_do_not_have_is_not_exported(tmp_path: Path) -> None:
    lm = ig.create("tiny", attention={"position": "rotary(scaling=ntk(4))"})
    with pytest.raises(CheckpointError, match=r"'rotary\(base=10000.0, scaling=ntk\(factor=4.0\)\)' would become 'rotary\(base=10000.0\)'"):
        ig.export(lm, tmp_path / "out")


def test_dynamic_within_its_context_is_the_plain_form() -> None:
    """What the error's hint says."""
    plain = dict(rope_type="default", rope_theta=10_000.0)
    assert torch.equal(logits(theirs({**plain, "rope_type": "dynamic", "factor": 4.0})), logits(theirs(plain)))


ROPE = gguf.Keys.Rope
SIZES = {
    "llama.vocab_size": 256,
    "llama.context_length": LONGEST,
    "llama.embedding_length": 32,
    "llama.feed_forward_length": 48,
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "llama.rope.freq_base": 500_000.0,
}


def from_gguf(**rope: Any) -> str:
    """The position of a GGUF file; keys by their names in the library's table."""
    metadata = {getattr(ROPE, key).format(arch="llama"): value for key, value in rope.items()}
    return str(llama.from_gguf({**SIZES, **metadata}).attention.position)


def test_gguf_yarn_equals_transformers() -> None:
    """Frequencies and growth, from what a converter writes for the same model."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = {**PLAIN, **TURNS, "rope_theta": 500_000.0}
    config = LlamaConfig(**LLAMA, max_position_embeddings=LONGEST, rope_parameters=rope)
    frequencies, growth = ROPE_INIT_FUNCTIONS["yarn"](config, torch.device("cpu"))
    written = dict(
        SCALING_TYPE="yarn", SCALING_FACTOR=4.0, SCALING_ORIG_CTX_LEN=16, SCALING_YARN_BETA_FAST=0.3, SCALING_YARN_BETA_SLOW=0.02
    )
    for more, times in ({}, 1.0), (dict(SCALING_ATTN_FACTOR=1.0), 1.0), (dict(SCALING_ATTN_FACTOR=0.5), 0.5):
        rotary: Any = positions.family.resolve(from_gguf(**written, **more), Dims(32, 4, 2, 8, LONGEST))
        torch.testing.assert_close(rotary.frequencies(torch.device("cpu")), frequencies, atol=0, rtol=1e-5)
        assert rotary.scaling.magnitude == pytest.approx(growth * times, abs=1e-7)


def test_gguf_scalings() -> None:
    assert from_gguf() == from_gguf(SCALING_TYPE="none") == from_gguf(SCALING_TYPE="linear") == "rotary(base=500000.0)"
    assert from_gguf(SCALING_TYPE="linear", SCALING_FACTOR=4.0) == "rotary(base=500000.0, scaling=linear(factor=4.0))"
    usual = dict(SCALING_TYPE="yarn", SCALING_FACTOR=4.0)  # the original context is the trained one where it is not given
    assert from_gguf(**usual) == "rotary(base=500000.0, scaling=yarn(factor=4.0, original_context=64))"
    assert from_gguf(**usual, SCALING_YARN_EXT_FACTOR=1.0, SCALING_YARN_LOG_MUL=0.0) == from_gguf(**usual)
    old = llama.from_gguf({**SIZES, "llama.rope.scale_linear": 2.0}).attention.position
    assert old == "rotary(base=500000.0, scaling=linear(factor=2.0))"


def test_gguf_scalings_that_are_not_known() -> None:
    with pytest.raises(CheckpointError) as caught:
        from_gguf(SCALING_TYPE="longrope", SCALING_FACTOR=4.0)
    assert str(caught.value) == "rope_type 'longrope' in the GGUF metadata is not known here\n  known: default, linear, llama3, yarn"
    with pytest.raises(CheckpointError) as caught:
        from_gguf(SCALING_TYPE="yarn", SCALING_FACTOR=4.0, SCALING_YARN_LOG_MUL=0.1)
    text = "llama.rope.scaling.yarn_log_multiplier = 0.1 in the GGUF metadata is not known here\n  expected 0.0, or no such key"
    assert str(caught.value) == text


def write_gguf(model: Any, path: Path, frequency_factors: torch.Tensor | None = None) -> Path:
    """A file as llama.cpp's converter writes it: its names, and the rows of q and k interleaved."""
    writer, config = gguf.GGUFWriter(path, "llama"), model.config
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weight in model.state_dict().items():
        for part in "qk":
            if f"{part}_proj" in name:
                heads = config.num_attention_heads if part == "q" else config.num_key_value_heads
                weight = weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)
        writer.add_tensor(str(names.get_name(name, (".weight",))), weight.contiguous().numpy())
    if frequency_factors is not None:
        writer.add_tensor("rope_freqs.weight", frequency_factors.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_file_with_yarn_equals_transformers(tmp_path: Path) -> None:
    model = theirs(PLAIN)
    ours = checkpoint.read_model(write_gguf(model, tmp_path / "yarn.gguf"))
    torch.testing.assert_close(ours(IDS), logits(model), atol=1e-4, rtol=0)


LLAMA3 = dict(factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)


def stretches(model: Any, base: float) -> torch.Tensor:
    """What a converter writes into `rope_freqs.weight`: by how much each frequency is divided."""
    plain = base ** -(torch.arange(4) / 4)
    return plain / model.model.rotary_emb.inv_freq


def test_a_gguf_file_of_llama_3_equals_transformers(tmp_path: Path) -> None:
    """Its scaling is a tensor, and the metadata say nothing of it."""
    base = 500_000.0
    model = theirs(dict(rope_type="llama3", rope_theta=base, **LLAMA3))
    file = write_gguf(model, tmp_path / "llama3.gguf", stretches(model, base))
    ours = checkpoint.read_model(file)
    assert ours.config.attention.position == llama.from_huggingface(model.config.to_dict()).attention.position
    torch.testing.assert_close(ours(IDS), logits(model), atol=1e-4, rtol=0)
    unscaled = checkpoint.read_model(write_gguf(model, tmp_path / "plain.gguf"))
    assert (unscaled(IDS) - logits(model)).abs().max() > 1e-3
    ones = checkpoint.read_model(write_gguf(model, tmp_path / "ones.gguf", torch.ones(4)))
    assert torch.equal(ones(IDS), unscaled(IDS))


def test_gguf_factors_that_are_not_llama_3s(tmp_path: Path) -> None:
    file = write_gguf(theirs(PLAIN), tmp_path / "other.gguf", torch.tensor([1.0, 2.0, 3.0, 4.0]))
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read_config(file)
    text = "the GGUF tensor rope_freqs.weight holds other factors than those of Llama 3 are\n  its largest is 4.0"
    assert str(caught.value) == text
