"""What does not fit is refused before anything is changed, and the message says what and where."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import isinglass as ig
from isinglass.core.errors import CheckpointError, ConfigError, IsinglassError, VariantError
from isinglass.models.presets import gpt2, tiny
from isinglass.models.transformer import Decoder
from isinglass.text.byte_vocabulary import byte_tokenizer


def change(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def rewrite(folder: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    edit(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def message(folder: Path | str, error: type[Exception] = CheckpointError) -> str:
    with pytest.raises(error) as caught:
        ig.load(folder)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Hugging Face folder, by our own export."""
    return ig.export(ig.create("tiny"), tmp_path / "model")


def test_all_faults_of_the_weights_are_listed_with_shapes(folder: Path) -> None:
    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["model.layers.0.mlp.up_proj.weight"]
        tensors["model.layers.1.extra.weight"] = torch.zeros(3, 4)
        tensors["model.norm.weight"] = torch.zeros(63)

    rewrite(folder, spoil)
    text = message(folder)
    assert "do not fit the model: 3 faults" in text
    assert str(folder) in text
    assert "missing: layers.0.mlp.up_proj.weight [176, 64]" in text
    assert "unexpected: model.layers.1.extra.weight [3, 4]" in text
    assert "shape: norm.weight is [63] in the file, [64] in the model" in text


def test_a_joined_tensor_of_the_wrong_shape_is_listed(save_theirs: Callable[..., Any]) -> None:
    """GPT-2 stores q, k and v as one tensor."""
    _, folder = save_theirs("gpt2")
    rewrite(folder, lambda tensors: tensors.update({"transformer.h.0.attn.c_attn.weight": torch.zeros(32, 90)}))
    text = message(folder)
    assert "shape: layers.0.attention.q_proj.weight is [90, 32] in the file, [32, 32] in the model" in text


def test_a_model_of_other_sizes_does_not_fit(folder: Path) -> None:
    change(folder, num_hidden_layers=3, vocab_size=300)
    text = message(folder)
    assert "missing: layers.2.attention_norm.weight [64]" in text
    assert "shape: embed_tokens.weight is [256, 64] in the file, [300, 64] in the model" in text


def test_many_faults_are_cut_after_twelve(folder: Path) -> None:
    change(folder, num_hidden_layers=9)
    assert re.search(r"63 faults[\s\S]*and 51 more", message(folder))


@pytest.mark.parametrize("keep", [0, 5, 300, 20_000])
def test_truncated_safetensors(folder: Path, keep: int) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    text = message(folder)
    assert f"cannot read {str(file)!r}" in text
    assert "hint: the file is damaged or cut short: fetch it again" in text


def test_pickles_are_refused_and_never_read(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    text = message(folder)
    assert "found pytorch_model.bin: pickled files can run code when read, so they are refused" in text
    assert "hint: save the model with save_pretrained(folder, safe_serialization=True)" in text


def test_a_missing_shard_is_named(save_theirs: Callable[..., Any]) -> None:
    _, folder = save_theirs("llama untied", max_shard_size="20kB")
    gone = sorted(folder.glob("model-*.safetensors"))[1]
    gone.unlink()
    assert f"no file {str(gone)!r}" in message(folder)


def test_an_unknown_model_type(folder: Path) -> None:
    change(folder, model_type="mamba")
    text = message(folder)
    assert "model_type 'mamba' is not known here" in text
    assert "known: bert, gpt2, llama, mistral, mixtral, t5" in text


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("dynamic", "up to max_position_embeddings tokens it equals 'default': write that as the rope_type to load the model for those"),
        ("longrope", None),
        ("yarm", "did you mean 'yarn'?"),
    ],
)
def test_an_unknown_rope_type(kind: str, hint: str | None, folder: Path) -> None:
    change(folder, rope_parameters={"rope_type": kind, "rope_theta": 1e4, "factor": 4.0})
    text = message(folder)
    assert f"rope_type {kind!r} in config.json is not known here\n  known: default, linear, llama3, yarn" in text
    assert text.endswith(f"hint: {hint}") if hint else "hint" not in text


def test_a_rope_type_without_what_it_needs(folder: Path) -> None:
    change(folder, rope_parameters={"rope_type": "yarn", "rope_theta": 1e4})
    assert f"cannot read {str(folder / 'config.json')!r}: KeyError: 'factor'" in message(folder)


@pytest.mark.parametrize(("values", "fault"), [("{", "JSONDecodeError"), ('{"model_type": "llama"}', "KeyError: 'vocab_size'")])
def test_an_unreadable_config(folder: Path, values: str, fault: str) -> None:
    (folder / "config.json").write_text(values)
    assert f"cannot read {str(folder / 'config.json')!r}: {fault}" in message(folder)


def test_an_unreadable_config_in_our_form(tmp_path: Path) -> None:
    folder = ig.export(ig.create("tiny"), tmp_path / "own", format="isinglass")
    text = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(text.replace("d_model", "d_modle"))
    found = message(folder, ConfigError)
    assert "unknown key" in found
    assert "config.toml.d_modle" in found
    assert "did you mean 'd_model'" in found
    (folder / "config.toml").write_text("d_model = = 3")
    assert "not readable as TOML" in message(folder, ConfigError)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    text = message(tmp_path)
    assert "holds no model" in text
    assert "expected config.toml (ours), config.json (Hugging Face), or a .gguf file" in text


def test_unknown_names_and_paths() -> None:
    assert "unknown model 'smolm2'" in message("smolm2")
    assert "did you mean 'smollm2'" in message("smolm2")
    assert "no file or folder './nowhere'" in message("./nowhere")
    with pytest.raises(ConfigError, match=r"unknown dtype 'float61'[\s\S]*known: bfloat16, float32"):
        ig.load("smollm2", dtype="float61")


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("tiny(d_model=65)", r"d_model = 65 is not divisible by attention.n_heads = 4; try d_model = 64 or 68"),
        ("tiny(n_kv_heads=3)", r"attention.n_kv_heads = 3 does not divide attention.n_heads = 4; choose one of \[1, 2, 4\]"),
        ("tiny(n_layers=0)", r"n_layers = 0: Input should be greater than 0"),
        ("tiny(n_layrs=3)", r"unknown setting 'n_layrs'[\s\S]*did you mean 'n_layers'"),
        ("tiny(position=['rotary', 'none', 'none'])", r"attention.position lists 3 values for n_layers = 2; give one, or one per layer"),
        ("tiny(dropout=1.5)", r"dropout = 1.5: Input should be less than 1"),
        ("tiny(embeddings='shared')", r"embeddings = 'shared': Input should be 'tied' or 'untied'"),
        ("gpt2('125m')", r"unknown size '125m' in gpt2[\s\S]*known: 124m, 1558m, 355m, 774m[\s\S]*did you mean '124m'"),
        ("tinny", r"unknown preset 'tinny' in model[\s\S]*did you mean 'tiny'"),
        ("tiny(position='rotery')", r"unknown position 'rotery' in attention.position[\s\S]*did you mean 'rotary'"),
        ("tiny(mask='casual')", r"unknown mask 'casual' in attention.mask[\s\S]*did you mean 'causal'"),
        ("tiny(kernel='spda')", r"unknown kernel 'spda' in attention.kernel[\s\S]*did you mean 'sdpa'"),
        ("tiny(feedforward='glu(activation=3)')", r"glu: activation = 3: Input should be a valid string"),
        ("tiny(mask='causal &')", r"cannot read the variant 'causal &'"),
        ("tiny(position='rotary(bse=2)')", r"rotary takes: base=10000.0, scaling=None"),
    ],
)
def test_wrong_settings(expression: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        ig.create(expression)


@pytest.mark.parametrize(
    ("expression", "lost"),
    [
        ("tiny(mask='causal & sliding_window(8)')", ["attention.mask: 'causal & sliding_window(window=8)' would become 'causal'"]),
        ("tiny(position='sinusoidal')", ["attention.position: 'sinusoidal(base=10000.0)' would become 'rotary(base=10000.0)'"]),
        ("gpt2(n_layers=1, d_model=32, n_heads=4, position='rotary', n_kv_heads=2)", ["attention.position: 'rotary(base=10000.0)' would become 'learned'", "attention.n_kv_heads: 2 would become 4"]),
        ("tiny(norm='layer_norm')", ["norm: 'layer_norm' would become 'rms_norm'"]),
        ("tiny(bias='qkv')", ["attention.bias: 'qkv' would become 'none'"]),
        ("tiny(mask=['causal', 'causal & sliding_window(8)'])", ["attention.mask:"]),
        ("tiny(position=['rotary', 'none'])", ["attention.position:"]),
        ("mistral(d_model=32, n_layers=1, n_heads=4, n_kv_heads=2, d_ff=48, mask='causal | full')", ["attention.mask: 'causal | full' would become"]),
    ],
)  # fmt: skip
def test_what_hugging_face_cannot_express_is_not_exported(expression: str, lost: list[str], tmp_path: Path) -> None:
    lm = ig.create(expression)
    with pytest.raises(CheckpointError) as caught:
        ig.export(lm, tmp_path / "out")
    text = str(caught.value)
    assert "cannot express this model" in text
    assert "hint: export it with format='isinglass'" in text
    assert all(line in text for line in lost), text
    assert not list((tmp_path / "out").iterdir()), "half an export was left"
    own = ig.load(ig.export(lm, tmp_path / "own", format="isinglass"))
    ids = torch.arange(12)[None]
    assert torch.equal(own.model(ids), lm.model(ids))


@pytest.mark.parametrize("expression", ["tiny(feedforward='glu')", "tiny(position='rotary')", "mistral(d_model=32, n_layers=1, n_heads=4, n_kv_heads=2, d_ff=48, mask='causal&sliding_window(window=7)')", "tiny(d_head=16, n_kv_heads=4)"])  # fmt: skip
def test_another_spelling_of_what_it_can_express_is_exported(expression: str, tmp_path: Path) -> None:
    lm = ig.create(expression, tokenizer=byte_tokenizer())
    again = ig.load(ig.export(lm, tmp_path / "out"))
    ids = torch.arange(12)[None]
    assert torch.equal(again.model(ids), lm.model(ids))


def test_an_unknown_format_and_a_folder_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown format 'gguf'[\s\S]*known: huggingface, isinglass"):
        ig.export(ig.create("tiny"), tmp_path, format="gguf")  # type: ignore[arg-type]
    (tmp_path / "file").write_text("x")
    with pytest.raises(IsinglassError, match="cannot create the folder"):
        ig.export(ig.create("tiny"), tmp_path / "file" / "model")


def test_beyond_the_context() -> None:
    with pytest.raises(IsinglassError, match=r"65 tokens do not fit the model's context of 64[\s\S]*shorten the input to 64 tokens"):
        Decoder(tiny.build(context_length=64)).eval()(torch.zeros(1, 65, dtype=torch.long))


def test_kernel_objects_and_mask_objects_may_be_passed() -> None:
    """Whatever a config takes as text it takes as an object; the model is the same."""
    from helpers.variants import kernel, mask

    text = ig.create("tiny", attention={"mask": "causal & sliding_window(3)", "kernel": "reference"})
    objects = ig.create("tiny", attention={"mask": mask("causal & sliding_window(3)"), "kernel": kernel("reference")})
    ids = torch.arange(12)[None]
    assert torch.equal(text.model(ids), objects.model(ids))
    config = objects.config
    assert torch.equal(ig.create(config).model(ids), text.model(ids))


def test_a_config_with_objects_cannot_be_written_and_says_so(tmp_path: Path) -> None:
    from helpers.variants import mask

    lm = ig.create("tiny", attention={"mask": mask("causal & sliding_window(3)")})
    for form in ("isinglass", "huggingface"):
        with pytest.raises(CheckpointError, match=r"attention\.mask"):
            ig.export(lm, tmp_path / form, format=form)  # type: ignore[arg-type]


def test_a_wrong_bias_name_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"attention\.bias = 'some': Input should be 'none', 'qkv' or 'all'"):
        gpt2.build(bias="some")


def test_variant_errors_are_config_errors() -> None:
    assert issubclass(VariantError, ConfigError)
