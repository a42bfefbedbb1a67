"""T5: an encoder-decoder with one position bias shared by all layers, RMSNorm before each part, no biases, no 1/sqrt(d_head).

What: turns one text into another; every task is put as such a pair ("translate English to German: ...").
Why: the standard model of the kind; the versions of 2020 on (flan, v1.1) have a gated feed-forward layer.
Cost: 61M (small), 223M (base), 738M parameters (large)
Used by: T5, T5 v1.1, FLAN-T5, mT5
Paper: Raffel et al. 2020, Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer; Shazeer 2020, GLU Variants
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isinglass.core.errors import CheckpointError
from isinglass.models.config import EncoderDecoderConfig
from isinglass.models.names import NameMap, simple
from isinglass.models.presets._settings import arguments, config, settings

EXAMPLE = dict(n_layers=2, d_model=32, n_heads=4, d_head=8, d_ff=48, vocab_size=256)
MODEL_TYPE = "t5"

_V1: dict[str, Any] = dict(vocab_size=32_128, d_head=64, feedforward="mlp(activation='relu', bias=False)", embeddings="tied")
_V11: dict[str, Any] = dict(_V1, feedforward="glu(activation='gelu_tanh')", embeddings="untied", head_scale=1.0)
SIZES: dict[str, dict[str, Any]] = {
    "small": dict(_V1, d_model=512, d_ff=2048, n_layers=6, n_heads=8),
    "base": dict(_V1, d_model=768, d_ff=3072, n_layers=12, n_heads=12),
    "large": dict(_V1, d_model=1024, d_ff=4096, n_layers=24, n_heads=16),
    "v1.1-small": dict(_V11, d_model=512, d_ff=1024, n_layers=8, n_heads=6),
    "v1.1-base": dict(_V11, d_model=768, d_ff=2048, n_layers=12, n_heads=12),
}
_DEFAULTS: dict[str, Any] = dict(context_length=512, bias="none", scale=1.0, norm="rms_norm", norm_eps=1e-6)


def build(size: str = "small", num_buckets: int = 32, max_distance: int = 128, **overrides: Any) -> EncoderDecoderConfig:
    """A size with any setting of the model or its attention on top; the bias has `num_buckets` distances up to `max_distance`.

    Settings of attention count for both sides, but for the mask and for a position of T5's own kind, which count for the reading one. With
    tied embeddings the head is scaled by d_model^-0.5.
    """
    flat = {**_DEFAULTS, **settings("t5", SIZES, size, overrides)}
    flat.setdefault("head_scale", flat["d_model"] ** -0.5 if flat["embeddings"] == "tied" else 1.0)
    buckets = f"num_buckets={num_buckets}, max_distance={max_distance}"
    reading = {"position": f"relative_t5({buckets})", "mask": "full"}
    writing = {"position": f"relative_t5({buckets}, bidirectional=False)", "mask": "causal"}
    if not str(flat.get("position", "relative_t5")).startswith("relative_t5"):
        del writing["position"]
    return config({**reading, **flat}, EncoderDecoderConfig, writing=writing)


def from_huggingface(theirs: Mapping[str, Any]) -> EncoderDecoderConfig:
    """Our config from the values of their `config.json`.

    Version 1.1 is told by `tie_word_embeddings` false, as it was published, or by `scale_decoder_outputs` false, as transformers 5 writes
    it.
    """
    projection = theirs.get("feed_forward_proj", "relu")
    if projection not in ("relu", "gated-gelu"):
        raise CheckpointError(f"config.json: feed_forward_proj = {projection!r} is not known here", details=["known: gated-gelu, relu"])
    tied = theirs.get("tie_word_embeddings", True)
    d_model = theirs.get("d_model", 512)
    return build(
        num_buckets=theirs.get("relative_attention_num_buckets", 32),
        max_distance=theirs.get("relative_attention_max_distance", 128),
        vocab_size=theirs.get("vocab_size", 32_128),
        context_length=theirs.get("n_positions", 512),
        d_model=d_model,
        d_head=theirs.get("d_kv", 64),
        d_ff=theirs.get("d_ff", 2048),
        n_layers=theirs.get("num_layers", 6),
        n_decoder_layers=theirs.get("num_decoder_layers"),
        n_heads=theirs.get("num_heads", 8),
        norm_eps=theirs.get("layer_norm_epsilon", 1e-6),
        feedforward="glu(activation='gelu_tanh')" if projection == "gated-gelu" else "mlp(activation='relu', bias=False)",
        embeddings="tied" if tied else "untied",
        head_scale=d_model**-0.5 if tied and theirs.get("scale_decoder_outputs", True) else 1.0,
    )


def to_huggingface(ours: EncoderDecoderConfig) -> dict[str, Any]:
    """The values of their `config.json`."""
    _, bias = arguments(ours.attention.position) if isinstance(ours.attention.position, str) else ("", {})
    return dict(
        model_type=MODEL_TYPE,
        architectures=["T5ForConditionalGeneration"],
        is_encoder_decoder=True,
        vocab_size=ours.vocab_size,
        n_positions=ours.context_length,
        d_model=ours.d_model,
        d_kv=ours.d_head,
        d_ff=ours.d_ff,
        num_layers=ours.n_layers,
        num_decoder_layers=ours.decoder_layers,
        num_heads=ours.attention.n_heads,
        relative_attention_num_buckets=bias.get("num_buckets", 32),
        relative_attention_max_distance=bias.get("max_distance", 128),
        layer_norm_epsilon=ours.norm_eps,
        dropout_rate=ours.dropout,
        feed_forward_proj="gated-gelu" if ours.feedforward.startswith("glu") else "relu",
        tie_word_embeddings=ours.embeddings == "tied",
        scale_decoder_outputs=ours.head_scale != 1.0,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )


def _attention(theirs: str, ours: str) -> dict[str, str]:
    return {f"{theirs}.{part}.weight": f"{ours}.{part}_proj.weight" for part in "qkvo"}


def _side(name: str, feedforward_number: int) -> dict[str, str]:
    """The weights of one stack; the feed-forward layer is part 1 of an encoder's block and part 2 of a decoder's."""
    block, layer = f"{name}.block.{{}}.layer.", f"{name}.layers.{{}}."
    inner = {"wi": "up_proj", "wi_0": "gate_proj", "wi_1": "up_proj", "wo": "down_proj"}
    return {
        f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight": f"{name}.positions.0.weight",
        **_attention(f"{block}0.SelfAttention", f"{layer}attention"),
        f"{block}0.layer_norm.weight": f"{layer}attention_norm.weight",
        **{f"{block}{feedforward_number}.DenseReluDense.{k}.weight": f"{layer}mlp.{v}.weight" for k, v in inner.items()},
        f"{block}{feedforward_number}.layer_norm.weight": f"{layer}mlp_norm.weight",
        f"{name}.final_layer_norm.weight": f"{name}.norm.weight",
    }


def HUGGINGFACE(ours: EncoderDecoderConfig) -> NameMap:  # noqa: N802 - a gated layer calls wi_1 what a plain one calls wi
    """Weight names for a gated or a plain feed-forward layer."""
    absent = ".wi." if ours.feedforward.startswith("glu") else ".wi_"
    cross = "decoder.block.{}.layer.1."
    pairs = {
        "shared.weight": "embed_tokens.weight",
        **_side("encoder", 1),
        **_side("decoder", 2),
        **_attention(f"{cross}EncDecAttention", "decoder.layers.{}.cross_attention"),
        f"{cross}layer_norm.weight": "decoder.layers.{}.cross_attention_norm.weight",
        "lm_head.weight": "lm_head.weight",
    }
    return NameMap(
        renames=simple({theirs: own for theirs, own in pairs.items() if absent not in theirs}),
        # copies of the shared embedding, and a bias that cross-attention never had
        ignored=(r"(en|de)coder\.embed_tokens\.weight", r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight"),
    )
