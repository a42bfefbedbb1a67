"""T5: equal to transformers' in both directions, one bias for all layers, writing step by step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import isinglass as ig
from helpers.tensors import Watch, random_ids, randomised
from isinglass.core.errors import CheckpointError, ConfigError, EngineError
from isinglass.models.cache import new_cache
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.models.presets import t5
from isinglass.models.transformer import fresh
from isinglass.nn.attention.slots import Slots

from .theirs import make, reload, save

KIND = "T5ForConditionalGeneration"
IDS, WRITTEN = random_ids(2, 40, vocab=256), random_ids(2, 24, vocab=256, seed=1)
# name -> (transformers' settings, the scale of the head)
KINDS: dict[str, tuple[dict[str, Any], float]] = {
    "first version": ({}, 32**-0.5),
    "gated": ({"feed_forward_proj": "gated-gelu"}, 32**-0.5),
    "gated, head not scaled": ({"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}, 1.0),
    "longer decoder": ({"num_decoder_layers": 3}, 32**-0.5),
    "longer encoder": ({"num_decoder_layers": 1, "layer_norm_epsilon": 1e-3}, 32**-0.5),
    "other buckets": ({"relative_attention_num_buckets": 8, "relative_attention_max_distance": 20}, 32**-0.5),
}


def logits_of(theirs: Any, valid: Tensor | None = None) -> Tensor:
    mask = None if valid is None else valid.long()
    with torch.no_grad():
        return theirs(input_ids=IDS, attention_mask=mask, decoder_input_ids=WRITTEN).logits


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_with_transformers(kind: str, tmp_path: Path) -> None:
    settings, scale = KINDS[kind]
    theirs = make(KIND, **settings)
    folder = save(theirs, tmp_path / "theirs")
    lm = ig.load(folder)
    expected = logits_of(theirs)
    torch.testing.assert_close(lm.model(IDS, WRITTEN), expected, atol=1e-4, rtol=0)
    assert expected.std() > 0.05
    assert lm.config.head_scale == scale
    assert lm.end_ids == {1}

    back = ig.export(lm, tmp_path / "back")
    original, exported = load_file(folder / "model.safetensors"), load_file(back / "model.safetensors")
    assert original.keys() == exported.keys()
    assert all(torch.equal(original[name], exported[name]) for name in original)
    torch.testing.assert_close(logits_of(reload(KIND, back)), expected, atol=1e-6, rtol=0)

    own = ig.load(ig.export(lm, tmp_path / "own", format="isinglass"))
    assert own.config == lm.config
    assert torch.equal(own.model(IDS, WRITTEN), lm.model(IDS, WRITTEN))


def test_padding_of_the_source_counts_as_in_transformers(tmp_path: Path) -> None:
    theirs = make(KIND)
    model = ig.load(save(theirs, tmp_path)).model
    valid = torch.arange(40) < torch.tensor([[40], [23]])
    slots = Slots(torch.arange(40).expand(2, -1), valid=valid)
    expected = logits_of(theirs, valid)
    torch.testing.assert_close(model(IDS, WRITTEN, slots=slots), expected, atol=1e-4, rtol=0)
    alone = model(IDS[1:, :23], WRITTEN[1:])
    torch.testing.assert_close(model(IDS, WRITTEN, slots=slots)[1:], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("form", ["as published", "as transformers 5 would write it"])
def test_a_head_of_its_own_is_read_and_written(form: str, tmp_path: Path) -> None:
    """Version 1.1 was published with `tie_word_embeddings` false and a separate `lm_head.weight`."""
    folder = save(make(KIND, tie_word_embeddings=False), tmp_path / "v1.1")
    tensors = load_file(folder / "model.safetensors")
    head = torch.randn(256, 32)
    save_file({**tensors, "lm_head.weight": head}, folder / "model.safetensors", metadata={"format": "pt"})
    if form == "as published":
        config = json.loads((folder / "config.json").read_text())
        del config["scale_decoder_outputs"]
        (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    lm = ig.load(folder)
    assert lm.config.embeddings == "untied"
    memory = lm.model.memory(IDS)
    hidden = lm.model.hidden(WRITTEN, memory)
    torch.testing.assert_close(lm.model(IDS, WRITTEN), hidden @ head.T, atol=1e-5, rtol=1e-5)
    back = ig.export(lm, tmp_path / "back")
    assert torch.equal(load_file(back / "model.safetensors")["lm_head.weight"], head)
    assert ig.load(back).config == lm.config


def test_old_files_with_copies_of_the_embedding_load(tmp_path: Path) -> None:
    theirs = make(KIND)
    folder = save(theirs, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    copies = {f"{side}.embed_tokens.weight": tensors["shared.weight"].clone() for side in ("encoder", "decoder")}
    copies["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = torch.zeros(32, 4)
    copies["lm_head.weight"] = tensors["shared.weight"].clone()
    save_file({**tensors, **copies}, folder / "model.safetensors", metadata={"format": "pt"})
    lm = ig.load(folder)
    assert lm.config.embeddings == "tied"
    torch.testing.assert_close(lm.model(IDS, WRITTEN), logits_of(theirs), atol=1e-4, rtol=0)


def small(**settings: Any) -> EncoderDecoder:
    config = t5.build(**{**dict(n_layers=2, d_model=32, n_heads=4, d_head=8, d_ff=48, vocab_size=50, context_length=64), **settings})
    return randomised(fresh(config, 0)).requires_grad_(False).eval()  # type: ignore[return-value]


@pytest.mark.parametrize("settings", [{}, {"n_decoder_layers": 3, "n_kv_heads": 2}, {"position": "rotary"}])
def test_writing_step_by_step_equals_one_pass(settings: dict[str, Any]) -> None:
    model, ids, written = small(**settings), random_ids(2, 17), random_ids(2, 9, seed=1)
    expected = model(ids, written)
    memory = model.memory(ids)
    cache = new_cache(model, batch=2, capacity=9)
    parts = [model.hidden(written[:, :4], memory, cache=cache)]
    parts += [model.hidden(written[:, at : at + 1], memory, cache=cache) for at in range(4, 9)]
    torch.testing.assert_close(model.logits(torch.cat(parts, dim=1)), expected, atol=1e-5, rtol=1e-5)
    cached = new_cache(model, batch=2, capacity=9)
    model(ids, written[:, :5], cache=cached)
    assert cached.length == 5
    torch.testing.assert_close(model(ids, written[:, 5:6], cache=cached)[:, 0], expected[:, 5], atol=1e-5, rtol=1e-5)


def test_greedy_step_by_step_gives_the_tokens_of_transformers(tmp_path: Path) -> None:
    theirs = make(KIND)
    model = ig.load(save(theirs, tmp_path)).model
    memory, cache, ids = model.memory(IDS), new_cache(model, batch=2, capacity=13), torch.zeros(2, 1, dtype=torch.long)
    found = [ids]
    for _ in range(12):
        found.append(model.logits(model.hidden(found[-1], memory, cache=cache))[:, -1:].argmax(-1))
    options = dict(max_new_tokens=12, min_new_tokens=12, do_sample=False, decoder_start_token_id=0, suppress_tokens=None)
    theirs.generation_config.eos_token_id = None
    with torch.no_grad():
        expected = theirs.generate(input_ids=IDS, attention_mask=torch.ones_like(IDS), **options)
    assert torch.cat(found, dim=1).tolist() == expected.tolist()


def test_what_is_written_sees_what_stands_before_it_alone_and_all_that_was_read() -> None:
    model, ids, written = small(), random_ids(1, 6), random_ids(1, 7, seed=1)
    reference = model(ids, written)
    later = written.clone()
    later[0, 4] = (later[0, 4] + 1) % 50
    changed = model(ids, later)
    assert torch.equal(changed[:, :4], reference[:, :4])
    assert (changed[:, 4:] - reference[:, 4:]).abs().amax(-1).min() > 1e-4
    source = ids.clone()
    source[0, -1] = (source[0, -1] + 1) % 50
    assert (model(source, written) - reference).abs().amax(-1).min() > 1e-5


SELF = [
    "attention.q_raw", "attention.k_raw", "attention.q", "attention.k", "attention.v", "attention.scores", "attention.weights",
    "attention.z", "attention.out",
]  # fmt: skip
REST = ["resid_pre", "resid_mid", "mlp.pre", "mlp.post", "resid_post"]


def test_taps() -> None:
    model, ids, written, tap = small(), random_ids(2, 6), random_ids(2, 5, seed=1), Watch()
    seen = model(ids, written, tap=tap)
    encoder = {f"encoder.layers.{n}.{name}" for n in range(2) for name in [*SELF, *REST]}
    crossing = [f"cross_{name}" for name in SELF]
    decoder = {f"decoder.layers.{n}.{name}" for n in range(2) for name in [*SELF, *crossing, *REST, "resid_cross"]}
    ends = {f"{side}.{name}" for side in ("encoder", "decoder") for name in ("embed", "norm")}
    assert set(tap.kept) == encoder | decoder | ends | {"logits"}
    torch.testing.assert_close(seen, model(ids, written), atol=1e-5, rtol=1e-5)
    assert tap.kept["decoder.layers.1.cross_attention.weights"].shape == (2, 4, 5, 6)
    torch.testing.assert_close(tap.kept["decoder.layers.1.cross_attention.weights"].sum(-1), torch.ones(2, 4, 5))
    assert torch.equal(model(ids, written, tap=Watch("decoder.layers.0.resid_cross", "encoder.norm")), model(ids, written))


def test_one_bias_serves_all_layers_of_a_side() -> None:
    names = [name for name, _ in small().named_parameters() if "positions" in name]
    assert names == ["encoder.positions.0.weight", "decoder.positions.0.weight"]


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"attention\.n_kv_heads = 3 does not divide attention\.n_heads = 4"):
        small(n_kv_heads=3)
    with pytest.raises(ConfigError, match=r"attention\.mask lists 3 values for n_layers = 2"):
        small(mask=["full", "full", "full"])
    with pytest.raises(EngineError, match="65 tokens do not fit the model's context of 64"):
        small()(random_ids(1, 65), random_ids(1, 3))
    with pytest.raises(EngineError, match="65 tokens do not fit the model's context of 64"):
        small()(random_ids(1, 3), random_ids(1, 65))


def test_an_unknown_feed_forward_layer_is_named(tmp_path: Path) -> None:
    folder = ig.export(ig.create("t5(n_layers=1, d_model=32, n_heads=4, d_head=8, d_ff=48)"), tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "feed_forward_proj": "gated-silu"}))
    with pytest.raises(CheckpointError, match=r"feed_forward_proj = 'gated-silu' is not known here[\s\S]*known: gated-gelu, relu"):
        ig.load(folder)


@pytest.mark.parametrize("settings", ["position='rotary'", "norm='layer_norm'", "scale=0.5", "head_scale=0.5"])
def test_what_hugging_face_cannot_express_is_not_exported(settings: str, tmp_path: Path) -> None:
    lm = ig.create(f"t5(n_layers=1, d_model=32, n_heads=4, d_head=8, d_ff=48, {settings})")
    with pytest.raises(CheckpointError, match=f"{settings.partition('=')[0]}: .* would become"):
        ig.export(lm, tmp_path / "out")


def test_a_decoder_is_asked_for_by_name() -> None:
    lm = ig.create("t5(n_layers=1, d_model=32, n_heads=4, d_head=8, d_ff=48)")
    with pytest.raises(EngineError, match="created is an encoder-decoder, which does not continue a text"):
        ig.generate(lm, "Hello")
