"""Mistral: Llama with a sliding window, so that the cache stops growing.

What: every layer sees the last `window` tokens, itself counted.
Why: after the window the cost of a token is constant, and a rolling cache holds all that is needed.
Cost: 7B parameters at the published size; a cache of 4,096 tokens at most
Used by: Mistral 7B v0.1
Paper: Jiang et al. 2023, Mistral 7B
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isinglass.core.variants import Call, Combined, parse
from isinglass.models.config import DecoderConfig
from isinglass.models.presets import llama
from isinglass.models.presets._settings import config, settings

EXAMPLE = dict(d_model=64, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=128, vocab_size=256, window=8)
MODEL_TYPE = "mistral"
HUGGINGFACE = llama.HUGGINGFACE

SIZES: dict[str, dict[str, Any]] = {
    "7b": dict(d_model=4096, n_layers=32, n_heads=32, n_kv_heads=8, d_ff=14_336, vocab_size=32_000, context_length=32_768),
}
_DEFAULTS: dict[str, Any] = dict(
    position="rotary(base=10000.0)", bias="none", feedforward="glu(activation='silu')", norm="rms_norm", norm_eps=1e-5, embeddings="untied"
)


def _mask(window: int | None) -> str:
    return "causal" if window is None else f"causal & sliding_window({window})"


def build(size: str = "7b", window: int | None = 4096, **overrides: Any) -> DecoderConfig:
    """A size with any setting of the model or its attention on top; `window` None sees everything before."""
    return config({**_DEFAULTS, "mask": _mask(window), **settings("mistral", SIZES, size, overrides)})


def from_huggingface(theirs: Mapping[str, Any]) -> DecoderConfig:
    """Our config from the values of their `config.json`."""
    flat = {**llama.flat_from_huggingface(theirs), "mask": _mask(theirs.get("sliding_window"))}
    return config({"family": "mistral", **flat})


def to_huggingface(ours: DecoderConfig) -> dict[str, Any]:
    """The values of their `config.json`."""
    theirs = llama.to_huggingface(ours)
    mask = parse(ours.attention.mask) if isinstance(ours.attention.mask, str) else None
    window = None
    if isinstance(mask, Combined) and isinstance(mask.right, Call) and mask.right.name == "sliding_window":
        window = (*mask.right.args, *dict(mask.right.kwargs).values())[0]
    return {**theirs, "model_type": MODEL_TYPE, "architectures": ["MistralForCausalLM"], "sliding_window": window}
