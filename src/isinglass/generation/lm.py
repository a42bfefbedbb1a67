"""LM: a model with its tokenizer, as one loads, creates and exports it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from isinglass.assets.find import find
from isinglass.assets.registry import Asset, builtin_registry
from isinglass.core.errors import CheckpointError, ConfigError, EngineError, IsinglassError, unknown
from isinglass.core.files import write_atomic
from isinglass.core.variants import Family
from isinglass.models import presets
from isinglass.models.adapted import adapter_of, settled, without_adapters
from isinglass.models.adapter_file import load_adapter, save_adapter
from isinglass.models.cache import new_cache
from isinglass.models.checkpoint import read_model, write_huggingface, write_isinglass
from isinglass.models.config import ModelConfig, model_config
from isinglass.models.pack import pack
from isinglass.models.quantized import read_quantized, with_quantized
from isinglass.models.transformer import Decoder, Model, fresh
from isinglass.nn.adapter import adapters_on
from isinglass.nn.attention.cache import Cache
from isinglass.nn.fused import FrozenLinear
from isinglass.nn.quantized import Quantized, fastest_product
from isinglass.text.byte_vocabulary import byte_tokenizer
from isinglass.text.load import tokenizer as load_tokenizer
from isinglass.text.tokenizer import Tokenizer

T = TypeVar("T")
ADAPTER = "adapter.safetensors"  # in a folder of ours: what cannot be merged into the weights
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, eq=False)
class LM:
    """A language model: `model` and `tokenizer` are read-only, so threads may share one.

    `card` holds what is known of its origin, `file` is what the weights were read from; `end_ids` are the tokens that end a text.
    """

    model: Model
    tokenizer: Tokenizer
    card: Mapping[str, Any] = field(default_factory=dict)
    end_ids: frozenset[int] = frozenset()
    file: Path | None = None
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def config(self) -> ModelConfig:
        return self.model.config

    @property
    def decoder(self) -> Decoder:
        """The model as what continues a text. EngineError for encoders and encoder-decoders, which do not."""
        if isinstance(self.model, Decoder):
            return self.model
        name, kind = self.card.get("source", self.config.family), str(self.config.architecture).replace("_", "-")
        raise EngineError(
            f"{name} is an {kind}, which does not continue a text",
            details=["generate, predict and chat need a decoder such as smollm2"],
            hint="look inside: ig.trace(lm, text)",
        )

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def encode(self, prompt: str | Sequence[int]) -> list[int]:
        """Ids of a prompt; ids pass through after a check against the vocabulary."""
        ids = self.tokenizer.encode(prompt, add_special=True) if isinstance(prompt, str) else list(prompt)
        outside = [i for i in ids if not 0 <= i < self.config.vocab_size]
        if outside:
            raise ConfigError(f"token id {outside[0]!r} is outside the model's vocabulary of {self.config.vocab_size}")
        return ids

    def packed(self) -> Decoder:
        """The inference form of the model, made once; within `adapters_off` that of the model without its adapters."""
        return self._once(("packed", adapters_on()), self._pack)

    def _pack(self) -> Decoder:
        model = settled(self.decoder)
        weights, product = self._quantized(model), fastest_product(model.embed_tokens.weight.dtype)
        if not weights or product is None:
            return pack(model)
        # what is left to the dense weights has many rows, where their own layout is as fast as another and costs no copy
        return with_quantized(pack(model, FrozenLinear), weights, product)

    def quantized(self) -> Mapping[str, Quantized]:
        """The weights as a GGUF file holds them; empty for other files, and where the model is not on the CPU."""
        return self._quantized(settled(self.decoder))

    def _quantized(self, model: Decoder) -> Mapping[str, Quantized]:
        if self.file is None or self.file.suffix != ".gguf" or self.device.type != "cpu":
            return {}
        return read_quantized(self.file, model)

    def engine(self, *, batch: int, capacity: int, compile: bool) -> tuple[Callable[..., Tensor], Cache]:
        """The callable that makes logits, and an empty cache for it."""
        if not compile:
            return self.packed(), new_cache(self.packed(), batch=batch, capacity=capacity)
        packed = self.packed()
        from isinglass.generation.compiled import CompiledModel, static_cache  # the compiler takes 2 s to import

        model = self._once(("compiled", adapters_on()), lambda: CompiledModel(packed))
        return model, static_cache(packed, batch=batch, capacity=capacity)

    def _once(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            return self._made[key]


def load(name_or_path: str | Path, *, dtype: str = "float32", device: str = "cpu") -> LM:
    """A model and its tokenizer from an asset name, our folder, a Hugging Face folder, or a `.gguf` file.

    `dtype` is float32 or bfloat16. Raises AssetError (unknown name), CheckpointError (damaged or unfitting weights).

    >>> load("smollm2").config.n_layers
    30
    """
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    path, vocabulary, config = Path(name_or_path).expanduser(), "", None
    if not path.exists():
        asset = _asset(str(name_or_path))
        path, vocabulary = find(asset.name), asset.vocabulary
        config = presets.family.resolve(asset.preset) if asset.preset else None
    model = read_model(path, DTYPES[dtype], config=config)
    if (path / ADAPTER).is_file():
        model = load_adapter(model, path / ADAPTER).requires_grad_(False).eval()
    model = model.to(device)
    tokenizer = load_tokenizer(vocabulary or path)
    return LM(model, tokenizer, {"source": str(name_or_path)}, _end_ids(path, tokenizer), path)


def _asset(name: str) -> Asset:
    """The weights of that name; a path that does not exist gets an error that says so."""
    weights = {asset.name: asset for asset in builtin_registry().assets.values() if asset.kind == "weights"}
    if name not in weights:
        looks_like_path = "/" in name or name.startswith(".") or name.endswith(".gguf")
        if looks_like_path:
            raise CheckpointError(f"no file or folder {name!r}", hint="give a folder, a .gguf file, or a name from: isinglass assets list")
        raise unknown("model", name, weights, more="isinglass assets list", error=CheckpointError)
    return weights[name]


def _end_ids(path: Path, tokenizer: Tokenizer) -> frozenset[int]:
    """The tokenizer's end token and those a Hugging Face folder names in `generation_config.json`."""
    found = set() if tokenizer.eos_id is None else {tokenizer.eos_id}
    file = path / "generation_config.json"
    if file.is_file():
        value = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id")
        found |= set(value if isinstance(value, list) else [] if value is None else [value])
    return frozenset(found)


def create(
    config_or_expression: ModelConfig | str | Mapping[str, Any],
    *,
    tokenizer: Tokenizer | str | None = None,
    attention: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> LM:
    """A model with fresh weights from a preset expression, a config, or its values; `attention` replaces settings of attention.

    Without a tokenizer it reads bytes (a byte-level vocabulary of 256). The vocabulary follows the tokenizer.

    >>> create("tiny", attention={"mask": "causal & sliding_window(8)"}).config.attention.mask
    'causal & sliding_window(8)'
    """
    text = byte_tokenizer() if tokenizer is None else load_tokenizer(tokenizer) if isinstance(tokenizer, str) else tokenizer
    family: Family[ModelConfig] = presets.family
    if isinstance(config_or_expression, Mapping):
        config = model_config(config_or_expression)
    else:
        config = family.resolve(config_or_expression, where="model")
    values = dict(config)  # not model_dump, which would take objects apart
    values["vocab_size"] = text.vocab_size
    values["attention"] = {**dict(config.attention), **(attention or {})}
    model = fresh(model_config(values), seed).requires_grad_(False).eval()
    ends = frozenset() if text.eos_id is None else frozenset({text.eos_id})
    return LM(model, text, {"source": "created", "seed": seed}, ends)


def export(lm: LM, folder: str | Path, *, format: Literal["huggingface", "isinglass"] = "huggingface") -> Path:
    """Write the model, its tokenizer and its card to a folder; returns the folder. A LoRA is merged; EngineError for a prefix.

    "huggingface" is what transformers, vLLM and others read; "isinglass" keeps settings they cannot express. A LoRA is merged; a prefix,
    which no weight can hold, is kept beside the model in our own form and refused in the other.
    """
    writers = {"huggingface": write_huggingface, "isinglass": _write_own}
    if format not in writers:
        raise unknown("format", format, writers)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise IsinglassError(f"cannot create the folder {str(folder)!r}: {fault.strerror}") from None
    writers[format](lm.model, folder)
    lm.tokenizer.save(folder)
    if lm.end_ids:
        write_atomic(folder / "generation_config.json", json.dumps({"eos_token_id": sorted(lm.end_ids)}) + "\n")
    write_atomic(folder / "card.md", card_text(lm))
    return folder


def _write_own(model: Model, folder: Path) -> None:
    model = settled(model)
    if adapter_of(model) is not None:
        save_adapter(model, folder / ADAPTER)
        model = without_adapters(model)
    write_isinglass(model, folder)


def card_text(lm: LM) -> str:
    """The human twin of a saved model."""
    config = lm.config
    origin = "\n".join(f"- {key}: {value}" for key, value in lm.card.items())
    shape = f"{config.n_layers} layers, d_model {config.d_model}, {config.attention.n_heads} heads over {config.n_kv_heads} kv heads"
    return f"# {config.family}\n\n{shape}, context {config.context_length} tokens, vocabulary {config.vocab_size}.\n\n{origin}\n"
