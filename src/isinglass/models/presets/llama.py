"""Llama: rotary positions, RMSNorm before each half, SwiGLU, no biases, grouped-query attention.

What: the decoder most open models follow. `size` also names members of the family, such as SmolLM2.
Why: each part earned its place: rotary for length, RMSNorm for speed, SwiGLU for loss, grouped heads for a small cache.
Cost: from 135M parameters (smollm2-135m) on
Used by: Llama 2 and 3, SmolLM2, TinyLlama
Paper: Touvron et al. 2023, LLaMA; Grattafiori et al. 2024, The Llama 3 Herd of Models; Allal et al. 2025, SmolLM2
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isinglass.models.config import DecoderConfig
from isinglass.models.names import NameMap, Rename, simple
from isinglass.models.presets._rope import rope_parameters, rotary_expression, rotary_from_gguf
from isinglass.models.presets._settings import config, settings

EXAMPLE = dict(d_model=64, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=128, vocab_size=256)
MODEL_TYPE = "llama"

_SMOL: dict[str, Any] = dict(vocab_size=49_152, context_length=8192, norm_eps=1e-5)
_LLAMA3: dict[str, Any] = dict(vocab_size=128_256, context_length=131_072, norm_eps=1e-5, n_kv_heads=8)
SIZES: dict[str, dict[str, Any]] = {
    "smollm2-135m": dict(_SMOL, d_model=576, n_layers=30, n_heads=9, n_kv_heads=3, d_ff=1536, position="rotary(base=100000.0)"),
    "smollm2-360m": dict(_SMOL, d_model=960, n_layers=32, n_heads=15, n_kv_heads=5, d_ff=2560, position="rotary(base=100000.0)"),
    "smollm2-1.7b": dict(_SMOL, d_model=2048, n_layers=24, n_heads=32, d_ff=8192, position="rotary(base=130000.0)"),
    "llama3.2-1b": dict(
        _LLAMA3, d_model=2048, n_layers=16, n_heads=32, d_ff=8192, position="rotary(base=500000.0, scaling=llama3(factor=32.0))"
    ),
    "llama3.1-8b": dict(
        _LLAMA3,
        d_model=4096,
        n_layers=32,
        n_heads=32,
        d_ff=14_336,
        position="rotary(base=500000.0, scaling=llama3(factor=8.0))",
        embeddings="untied",
    ),
}
_DEFAULTS: dict[str, Any] = dict(bias="none", feedforward="glu(activation='silu')", norm="rms_norm", embeddings="tied")


def build(size: str = "smollm2-135m", **overrides: Any) -> DecoderConfig:
    """A size with any setting of the model or its attention on top."""
    return config({**_DEFAULTS, **settings("llama", SIZES, size, overrides)})


def flat_from_huggingface(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Our flat settings from the values of their `config.json`; Mistral reads the same keys."""
    bias = ", bias=True" if theirs.get("mlp_bias") else ""
    return dict(
        vocab_size=theirs["vocab_size"],
        context_length=theirs.get("max_position_embeddings", 2048),
        d_model=theirs["hidden_size"],
        d_ff=theirs["intermediate_size"],
        n_layers=theirs["num_hidden_layers"],
        n_heads=theirs["num_attention_heads"],
        n_kv_heads=theirs.get("num_key_value_heads"),
        d_head=theirs.get("head_dim"),
        position=rotary_expression(theirs),
        bias="all" if theirs.get("attention_bias") else "none",
        feedforward=f"glu(activation='{theirs.get('hidden_act', 'silu')}'{bias})",
        norm="rms_norm",
        norm_eps=theirs.get("rms_norm_eps", 1e-6),
        embeddings="tied" if theirs.get("tie_word_embeddings") else "untied",
    )


def from_huggingface(theirs: Mapping[str, Any]) -> DecoderConfig:
    """Our config from the values of their `config.json`."""
    return config({"family": "llama", **flat_from_huggingface(theirs)})


def to_huggingface(ours: DecoderConfig) -> dict[str, Any]:
    """The values of their `config.json`; `rope_theta` and `rope_scaling` are repeated for versions before 5."""
    rope = rope_parameters(ours.attention.position)
    scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
    return dict(
        model_type=MODEL_TYPE,
        architectures=["LlamaForCausalLM"],
        vocab_size=ours.vocab_size,
        max_position_embeddings=ours.context_length,
        hidden_size=ours.d_model,
        intermediate_size=ours.d_ff,
        num_hidden_layers=ours.n_layers,
        num_attention_heads=ours.attention.n_heads,
        num_key_value_heads=ours.n_kv_heads,
        head_dim=ours.d_head,
        hidden_act="silu",
        rms_norm_eps=ours.norm_eps,
        attention_bias=ours.attention.bias == "all",
        mlp_bias="bias=True" in ours.feedforward,
        tie_word_embeddings=ours.embeddings == "tied",
        rope_theta=rope.get("rope_theta"),
        rope_parameters=rope,
        rope_scaling=None if rope.get("rope_type") == "default" else scaling,
    )


def _layer(theirs: str, ours: str) -> dict[str, str]:
    return {f"model.layers.{{}}.{theirs}.{kind}": f"layers.{{}}.{ours}.{kind}" for kind in ("weight", "bias")}


HUGGINGFACE = NameMap(
    renames=simple(
        {
            "model.embed_tokens.weight": "embed_tokens.weight",
            **_layer("input_layernorm", "attention_norm"),
            **{k: v for p in "qkvo" for k, v in _layer(f"self_attn.{p}_proj", f"attention.{p}_proj").items()},
            **_layer("post_attention_layernorm", "mlp_norm"),
            **{k: v for p in ("gate", "up", "down") for k, v in _layer(f"mlp.{p}_proj", f"mlp.{p}_proj").items()},
            "model.norm.weight": "norm.weight",
            "lm_head.weight": "lm_head.weight",
        }
    ),
    prefix="model.",
    ignored=(r".*rotary_emb\.inv_freq",),
)


def from_gguf(metadata: Mapping[str, Any], stretches: Sequence[float] | None = None) -> DecoderConfig:
    """Our config from the metadata of a GGUF file of architecture `llama` (Mistral's files say so too) and its `rope_freqs.weight`."""
    get = {key.removeprefix("llama."): value for key, value in metadata.items()}.get
    window, heads, d_model = get("attention.sliding_window"), get("attention.head_count"), get("embedding_length")
    # vocab_size is optional in the format; the tokenizer's list is as long
    vocab = get("vocab_size") or len(metadata.get("tokenizer.ggml.tokens", ()))
    return config(
        dict(
            family="llama",
            vocab_size=vocab,
            context_length=get("context_length"),
            d_model=d_model,
            d_ff=get("feed_forward_length"),
            n_layers=get("block_count"),
            n_heads=heads,
            n_kv_heads=get("attention.head_count_kv") or heads,
            d_head=get("attention.key_length"),
            position=rotary_from_gguf(get, stretches),
            mask="causal" if not window else f"causal & sliding_window({window})",
            norm_eps=get("attention.layer_norm_rms_epsilon") or 1e-5,
            **_DEFAULTS,
        )
    )


def gguf_names(config: DecoderConfig) -> NameMap:
    """Names in GGUF files. Their q and k rows are interleaved for another rotary layout; undone per head."""

    def undo(n_heads: int):
        return lambda t: t.unflatten(0, (n_heads, config.d_head // 2, 2)).transpose(1, 2).flatten(0, 2)

    heads = {"attn_q": ("attention.q_proj", config.attention.n_heads), "attn_k": ("attention.k_proj", config.n_kv_heads)}
    plain = {
        "attn_norm": "attention_norm",
        "attn_v": "attention.v_proj",
        "attn_output": "attention.o_proj",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    return NameMap(
        renames=(
            *simple({"token_embd.weight": "embed_tokens.weight", "output_norm.weight": "norm.weight", "output.weight": "lm_head.weight"}),
            *simple({f"blk.{{}}.{k}.weight": f"layers.{{}}.{v}.weight" for k, v in plain.items()}),
            *(Rename(f"blk.{{}}.{k}.weight", (f"layers.{{}}.{v}.weight",), undo=undo(n)) for k, (v, n) in heads.items()),
        ),
        ignored=("rope_freqs.weight",),
    )
