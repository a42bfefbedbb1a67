"""GPT-2: learned positions, LayerNorm before each half, GELU, biases everywhere, tied embeddings.

What: the decoder of 2019 that the class assignments build; four sizes, all with 1,024 positions and 50,257 tokens.
Why: small enough to train a copy of, documented everywhere, and the ancestor of what came after.
Cost: 124M, 355M, 774M or 1,558M parameters
Used by: GPT-2
Paper: Radford et al. 2019, Language Models are Unsupervised Multitask Learners
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isinglass.core.errors import CheckpointError
from isinglass.models.config import DecoderConfig
from isinglass.models.names import NameMap, Rename, simple
from isinglass.models.presets._settings import config, settings

EXAMPLE = dict(n_layers=2, d_model=32, n_heads=4)
MODEL_TYPE = "gpt2"

SIZES: dict[str, dict[str, Any]] = {
    "124m": dict(d_model=768, n_layers=12, n_heads=12),
    "355m": dict(d_model=1024, n_layers=24, n_heads=16),
    "774m": dict(d_model=1280, n_layers=36, n_heads=20),
    "1558m": dict(d_model=1600, n_layers=48, n_heads=25),
}
_DEFAULTS: dict[str, Any] = dict(
    vocab_size=50_257,
    context_length=1024,
    position="learned",
    bias="all",
    feedforward="mlp(activation='gelu_tanh')",
    norm="layer_norm",
    norm_eps=1e-5,
    embeddings="tied",
)


def build(size: str = "124m", **overrides: Any) -> DecoderConfig:
    """A size with any setting of the model or its attention on top; d_ff is 4 d_model unless given."""
    flat = {**_DEFAULTS, **settings("gpt2", SIZES, size, overrides)}
    return config({"d_ff": 4 * flat["d_model"], **flat})


def from_huggingface(theirs: Mapping[str, Any]) -> DecoderConfig:
    """Our config from the values of their `config.json`."""
    for option, usual in (("scale_attn_weights", True), ("scale_attn_by_inverse_layer_idx", False), ("add_cross_attention", False)):
        if theirs.get(option, usual) != usual:
            raise CheckpointError(f"config.json: {option} = {theirs[option]!r} is not supported for GPT-2, expected {usual!r}")
    activations = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu", "relu": "relu", "silu": "silu"}
    return build(
        vocab_size=theirs.get("vocab_size", 50_257),
        context_length=theirs.get("n_positions", 1024),
        d_model=theirs.get("n_embd", 768),
        n_layers=theirs.get("n_layer", 12),
        n_heads=theirs.get("n_head", 12),
        d_ff=theirs.get("n_inner") or 4 * theirs.get("n_embd", 768),
        norm_eps=theirs.get("layer_norm_epsilon", 1e-5),
        feedforward=f"mlp(activation='{activations[theirs.get('activation_function', 'gelu_new')]}')",
        embeddings="tied" if theirs.get("tie_word_embeddings", True) else "untied",
    )


def to_huggingface(ours: DecoderConfig) -> dict[str, Any]:
    """The values of their `config.json`."""
    activation = "gelu_new" if "gelu_tanh" in ours.feedforward else "gelu"
    return dict(
        model_type=MODEL_TYPE,
        architectures=["GPT2LMHeadModel"],
        vocab_size=ours.vocab_size,
        n_positions=ours.context_length,
        n_embd=ours.d_model,
        n_layer=ours.n_layers,
        n_head=ours.attention.n_heads,
        n_inner=ours.d_ff,
        layer_norm_epsilon=ours.norm_eps,
        activation_function=activation,
        tie_word_embeddings=ours.embeddings == "tied",
    )


def _both(theirs: str, ours: tuple[str, ...], *, transposed: bool) -> tuple[Rename, ...]:
    """The weight and the bias of one layer."""
    return tuple(Rename(f"{theirs}.{kind}", tuple(f"{o}.{kind}" for o in ours), transposed) for kind in ("weight", "bias"))


_H, _L = "transformer.h.{}.", "layers.{}."
HUGGINGFACE = NameMap(
    renames=(
        *simple({"transformer.wte.weight": "embed_tokens.weight", "transformer.wpe.weight": "positions.0.weight"}),
        *_both(_H + "ln_1", (_L + "attention_norm",), transposed=False),
        *_both(_H + "attn.c_attn", tuple(f"{_L}attention.{p}_proj" for p in "qkv"), transposed=True),
        *_both(_H + "attn.c_proj", (_L + "attention.o_proj",), transposed=True),
        *_both(_H + "ln_2", (_L + "mlp_norm",), transposed=False),
        *_both(_H + "mlp.c_fc", (_L + "mlp.up_proj",), transposed=True),
        *_both(_H + "mlp.c_proj", (_L + "mlp.down_proj",), transposed=True),
        *_both("transformer.ln_f", ("norm",), transposed=False),
        *simple({"lm_head.weight": "lm_head.weight"}),
    ),
    prefix="transformer.",
    ignored=(r".*\.attn\.(bias|masked_bias)",),  # the causal triangle, stored by old versions
)
