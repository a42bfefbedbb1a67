"""Weights in and out: our folder, a Hugging Face folder, a GGUF file. Only safetensors and GGUF are read; nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from isinglass.assets.gguf import GGUF
from isinglass.core.config import read_toml, write_toml
from isinglass.core.errors import CheckpointError
from isinglass.core.files import atomic, write_atomic
from isinglass.core.variants import Family
from isinglass.models import heads, presets
from isinglass.models.adapted import merge
from isinglass.models.assembly import attention_dims
from isinglass.models.config import DecoderConfig, EncoderDecoderConfig, ModelConfig, model_config
from isinglass.models.names import NameMap, export_names, import_names
from isinglass.models.presets import llama
from isinglass.models.transformer import Model, on_meta
from isinglass.nn import feedforward
from isinglass.nn.attention import masks, positions
from isinglass.nn.attention.config import AttentionConfig

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def read_model(path: Path, dtype: torch.dtype = torch.float32, *, config: ModelConfig | None = None) -> Model:
    """A model from our folder (`config.toml`), a Hugging Face folder (`config.json`) or a `.gguf` file, ready for inference.

    A file of Hugging Face weights alone (`.safetensors`) needs the `config` that it lacks.
    Raises CheckpointError: unreadable or truncated files, tensors that are missing, unexpected or of another shape.
    """
    if _is_gguf(path):
        return _read_gguf(path, dtype)
    if config is not None:
        return _assemble_named(config, _read_files([path]), huggingface_names(config), dtype, str(path))
    config = read_config(path)
    if (path / "config.toml").is_file():
        return assemble(config, read_safetensors(path), dtype, source=str(path))
    return _assemble_named(config, read_safetensors(path), huggingface_names(config), dtype, str(path))


def read_config(path: Path) -> ModelConfig:
    """The settings of a saved model, without its weights; forms of `path` as for `read_model`.

    Raises CheckpointError (no model there, an unknown architecture, an unreadable file) or ConfigError (a wrong key in `config.toml`).
    """
    if _is_gguf(path):
        return _gguf_config(GGUF(path), path)
    if (path / "config.toml").is_file():
        return model_config(read_toml(path / "config.toml"), where=str(path / "config.toml"))
    if (path / "config.json").is_file():
        return _huggingface_config(path / "config.json")
    raise CheckpointError(
        f"{str(path)!r} holds no model",
        details=["expected config.toml (ours), config.json (Hugging Face), or a .gguf file"],
    )


def huggingface_names(config: ModelConfig) -> NameMap:
    """The weight names of a config's family: a table, or a function that makes it from the config."""
    names = presets.family.module(config.family).HUGGINGFACE
    return names if isinstance(names, NameMap) else names(config)


def assemble(config: ModelConfig, weights: Mapping[str, Tensor], dtype: torch.dtype, *, source: str) -> Model:
    """Put weights into a model without copying them; every fault is listed before anything is changed."""
    model = on_meta(config)
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    tied = "lm_head.weight" if getattr(config, "embeddings", "tied") == "tied" else None
    given = {name: tensor for name, tensor in weights.items() if name != tied}
    check_weights(expected, {name: tensor.shape for name, tensor in given.items()}, source)
    model.load_state_dict({name: tensor.to(dtype) for name, tensor in given.items()}, assign=True)
    return model.requires_grad_(False).eval()


def check_weights(expected: Mapping[str, torch.Size], given: Mapping[str, torch.Size], source: str) -> None:
    """CheckpointError that lists missing, unexpected and mismatched tensors, the latter with both shapes."""
    lines = [f"missing: {name} {list(shape)}" for name, shape in expected.items() if name not in given]
    lines += [f"unexpected: {name} {list(shape)}" for name, shape in given.items() if name not in expected]
    lines += [
        f"shape: {name} is {list(given[name])} in the file, {list(shape)} in the model"
        for name, shape in expected.items()
        if name in given and given[name] != shape
    ]
    if lines:
        shown = lines[:12] + ([f"and {len(lines) - 12} more"] if len(lines) > 12 else [])
        raise CheckpointError(f"the weights in {source} do not fit the model: {len(lines)} faults", details=shown)


def read_safetensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of `model.safetensors`, or of the files its index names; memory-mapped."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files = sorted({folder / name for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()})
    else:
        files = [folder / "model.safetensors"]
    return _read_files(files)


def _read_files(files: Sequence[Path]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in files:
        if not file.is_file():
            pickles = [p.name for pattern in _PICKLES for p in file.parent.glob(pattern)]
            raise CheckpointError(
                f"no file {str(file)!r}",
                details=[f"found {', '.join(pickles)}: pickled files can run code when read, so they are refused"] if pickles else [],
                hint="save the model with save_pretrained(folder, safe_serialization=True)" if pickles else "",
            )
        try:
            with safe_open(file, framework="pt") as opened:
                tensors.update({name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118 - not a mapping
        except (SafetensorError, OSError) as fault:
            raise CheckpointError(f"cannot read {str(file)!r}: {fault}", hint="the file is damaged or cut short: fetch it again") from None
    return tensors


def _preset(model_type: str | None, source: Path) -> ModuleType:
    """The preset module that knows a Hugging Face model type."""
    known = {module.MODEL_TYPE: module for module in map(presets.family.module, presets.family.names()) if hasattr(module, "MODEL_TYPE")}
    if model_type not in known:
        raise CheckpointError(f"{source}: model_type {model_type!r} is not known here", details=[f"known: {', '.join(sorted(known))}"])
    return known[model_type]


def _huggingface_config(source: Path) -> ModelConfig:
    try:
        theirs = json.loads(source.read_text(encoding="utf-8"))
        return _preset(theirs.get("model_type"), source).from_huggingface(theirs)
    except (ValueError, KeyError) as fault:
        raise CheckpointError(f"cannot read {str(source)!r}: {type(fault).__name__}: {fault}") from None


def _is_gguf(path: Path) -> bool:
    return path.is_file() and path.suffix == ".gguf"


def _gguf_config(file: GGUF, path: Path) -> DecoderConfig:
    architecture = file.metadata.get("general.architecture")
    if architecture != "llama":
        raise CheckpointError(f"{path}: GGUF architecture {architecture!r} is not known here", details=["known: llama (also Mistral)"])
    config = llama.from_gguf(file.metadata, file.read("rope_freqs.weight").tolist() if "rope_freqs.weight" in file.tensors else None)
    return config.model_copy(update={"embeddings": "untied"}) if "output.weight" in file.tensors else config


def _read_gguf(path: Path, dtype: torch.dtype) -> Model:
    file = GGUF(path)
    config = _gguf_config(file, path)
    tensors = {name: torch.from_numpy(file.read(name)).to(dtype) for name in file.tensors}
    return _assemble_named(config, tensors, llama.gguf_names(config), dtype, str(path))


def _assemble_named(config: ModelConfig, tensors: Mapping[str, Tensor], names: NameMap, dtype: torch.dtype, source: str) -> Model:
    if isinstance(config, EncoderDecoderConfig) and _own_head(tensors):
        config = config.model_copy(update={"embeddings": "untied"})
    expected = {name: tensor.shape for name, tensor in on_meta(config).state_dict().items()}
    return assemble(config, import_names(tensors, names, most_layers(config), expected), dtype, source=source)


def _own_head(tensors: Mapping[str, Tensor]) -> bool:
    """T5 v1.1 as transformers 5 saves it: its config says tied, and the file holds a head that is no copy of the embedding."""
    head, embedding = tensors.get("lm_head.weight"), tensors.get("shared.weight")
    return head is not None and embedding is not None and not torch.equal(head, embedding)


def most_layers(config: ModelConfig) -> int:
    """Layers of the longer side, by which numbered names are filled in."""
    return max(config.n_layers, config.decoder_layers) if isinstance(config, EncoderDecoderConfig) else config.n_layers


def write_isinglass(model: Model, folder: Path) -> None:
    """`config.toml` and `model.safetensors` in our names; a LoRA is merged.

    CheckpointError for a config that holds objects, EngineError for a prefix.
    """
    _refuse_objects(model.config)
    model = merge(model)
    write_toml(folder / "config.toml", model.config.to_dict())
    _save(model.state_dict(), folder)


def write_huggingface(model: Model, folder: Path, extra: Mapping[str, Any] | None = None) -> None:
    """`config.json` and `model.safetensors` as transformers (and vLLM, llama.cpp's converter, ...) read them.

    A LoRA is merged. Raises CheckpointError when the family's format cannot express one of the model's settings, EngineError for a prefix.
    """
    _refuse_objects(model.config)
    model = merge(model)
    preset = presets.family.module(model.config.family)
    theirs = preset.to_huggingface(model.config) if hasattr(preset, "to_huggingface") else None
    if theirs is None:
        raise CheckpointError(f"the family {model.config.family!r} has no Hugging Face form", hint="export it with format='isinglass'")
    _refuse_what_is_lost(model.config, preset.from_huggingface(theirs))
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    values = {**theirs, "torch_dtype": dtype, **(extra or {})}
    write_atomic(folder / "config.json", json.dumps({k: v for k, v in values.items() if v is not None}, indent=2) + "\n")
    _save(export_names(model.state_dict(), huggingface_names(model.config), most_layers(model.config)), folder)


def _refuse_what_is_lost(config: ModelConfig, back: ModelConfig) -> None:
    """Compare a config with what their format would give back."""
    neutral = {"dropout": 0.0, "family": ""}
    ours, theirs = (_flat(c.model_copy(update=neutral)) for c in (config, back))
    lost = [f"{key}: {ours[key]!r} would become {theirs.get(key)!r}" for key in ours if ours[key] != theirs.get(key)]
    if lost:
        raise CheckpointError(
            f"Hugging Face's {config.family} cannot express this model", details=lost, hint="export it with format='isinglass'"
        )


def _flat(config: ModelConfig) -> dict[str, Any]:
    """Settings with derived values filled in and expressions in one spelling, so that equal models compare equal."""
    values = {**dict(config), "feedforward": _spelled(feedforward.family, config.feedforward)}
    if "heads" in values:
        values["heads"] = sorted(heads.family.spelled(head) for head in values["heads"])
    if isinstance(config, EncoderDecoderConfig):
        values["n_decoder_layers"] = config.decoder_layers
    for side in ("attention", "decoder_attention"):
        if side in values:
            values |= _flat_attention(side, values.pop(side), config)
    return values


def _flat_attention(side: str, attention: AttentionConfig, config: ModelConfig) -> dict[str, Any]:
    parts = {"position": _spelled(positions.family, attention.position), "mask": _spelled(masks.family, attention.mask)}
    dims = attention_dims(config, attention)
    canonical = {"kernel": "", "n_kv_heads": dims.n_kv_heads, "d_head": dims.d_head}
    return {f"{side}.{key}": value for key, value in {**dict(attention), **canonical, **parts}.items()}


def _spelled(family: Family[Any], value: Any) -> str:
    """One spelling of a variant, of one per layer (a single one when all are alike), or of an object."""
    if isinstance(value, list):
        each = {_spelled(family, item) for item in value}
        return each.pop() if len(each) == 1 else repr(value)
    return family.spelled(value) if isinstance(value, str) else repr(value)


def _refuse_objects(config: ModelConfig) -> None:
    """A file holds expressions; an object that was passed in cannot be written."""
    for side in ("attention", "decoder_attention"):
        for part in ("position", "mask", "kernel"):
            value = getattr(getattr(config, side, None), part, "")
            if any(not isinstance(item, str) for item in (value if isinstance(value, list) else [value])):
                raise CheckpointError(
                    f"{side}.{part} = {value!r} is an object, which a file cannot hold",
                    hint="give it as an expression, or put it into a Python file and give ./that_file.py",
                )


def _save(tensors: Mapping[str, Tensor], folder: Path) -> None:
    with atomic(folder / "model.safetensors") as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata={"format": "pt"})
