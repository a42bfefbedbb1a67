"""Mixtral: Mistral with eight experts in place of each feed-forward layer, two of which work on a token.

What: Llama's attention; a router and eight gated units where Llama has one. No sliding window.
Why: it answers like a model of the size of all experts at the time of one with two.
Cost: 46.7B parameters, of which a token uses 12.9B (8x7b)
Used by: Mixtral 8x7B, Mixtral 8x22B
Paper: Jiang et al. 2024, Mixtral of Experts
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isinglass.models.config import DecoderConfig
from isinglass.models.names import NameMap, simple
from isinglass.models.presets import llama, mistral
from isinglass.models.presets._settings import arguments, config, settings
from isinglass.nn import feedforward

EXAMPLE = dict(d_model=64, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=96, vocab_size=256, n_experts=4)
MODEL_TYPE = "mixtral"

_BOTH: dict[str, Any] = dict(n_kv_heads=8, position="rotary(base=1000000.0)")
SIZES: dict[str, dict[str, Any]] = {
    "8x7b": dict(_BOTH, d_model=4096, n_layers=32, n_heads=32, d_ff=14_336, vocab_size=32_000, context_length=32_768),
    "8x22b": dict(_BOTH, d_model=6144, n_layers=56, n_heads=48, d_ff=16_384, vocab_size=32_768, context_length=65_536),
}
_DEFAULTS: dict[str, Any] = dict(bias="none", norm="rms_norm", norm_eps=1e-5, embeddings="untied")


def build(size: str = "8x7b", n_experts: int = 8, top_k: int = 2, **overrides: Any) -> DecoderConfig:
    """A size with any setting of the model or its attention on top."""
    experts = f"moe(n_experts={n_experts}, top_k={top_k})"
    return config({**_DEFAULTS, "feedforward": experts, **settings("mixtral", SIZES, size, overrides)})


def from_huggingface(theirs: Mapping[str, Any]) -> DecoderConfig:
    """Our config from the values of their `config.json`."""
    experts = f"n_experts={theirs.get('num_local_experts', 8)}, top_k={theirs.get('num_experts_per_tok', 2)}"
    feedforward = f"moe({experts}, activation='{theirs.get('hidden_act', 'silu')}')"
    return mistral.from_huggingface(theirs).model_copy(update={"family": "mixtral", "feedforward": feedforward})


def to_huggingface(ours: DecoderConfig) -> dict[str, Any]:
    """The values of their `config.json`."""
    _, experts = arguments(feedforward.family.spelled(ours.feedforward))
    values = {key: value for key, value in mistral.to_huggingface(ours).items() if key not in ("attention_bias", "mlp_bias")}
    return {
        **values,
        "model_type": MODEL_TYPE,
        "architectures": ["MixtralForCausalLM"],
        "hidden_act": experts.get("activation"),
        "num_local_experts": experts.get("n_experts"),
        "num_experts_per_tok": experts.get("top_k"),
    }


_THEIRS, _OURS = "model.layers.{}.block_sparse_moe.", "layers.{}.mlp."
_EXPERT = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}
HUGGINGFACE = NameMap(
    renames=(
        *(rename for rename in llama.HUGGINGFACE.renames if ".mlp." not in rename.theirs),
        *simple({f"{_THEIRS}gate.weight": f"{_OURS}router.weight"}),
        *simple({f"{_THEIRS}experts.{{expert}}.{w}.weight": f"{_OURS}experts.{{expert}}.{our}.weight" for w, our in _EXPERT.items()}),
    ),
    prefix=llama.HUGGINGFACE.prefix,
    ignored=llama.HUGGINGFACE.ignored,
)
