"""The settings of a model: values only, strict, saved with every model as `config.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from isinglass.core.config import Config, build
from isinglass.core.errors import unknown
from isinglass.nn.attention.config import AttentionConfig


class ModelConfig(Config):
    """What every architecture has. Widths in numbers of features, lengths in tokens."""

    architecture: str
    family: str  # the preset whose weight names are used on import and export
    vocab_size: int = Field(gt=0)
    context_length: int = Field(gt=0)
    d_model: int = Field(gt=0)
    d_ff: int = Field(gt=0)
    n_layers: int = Field(gt=0)
    attention: AttentionConfig
    feedforward: str = "glu(activation='silu')"
    norm: Literal["layer_norm", "rms_norm"] = "rms_norm"
    norm_eps: float = Field(default=1e-5, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_fit(self) -> ModelConfig:
        check_attention(self.attention, self.d_model, self.n_layers, "attention")
        return self

    @property
    def n_kv_heads(self) -> int:
        return self.attention.n_kv_heads or self.attention.n_heads

    @property
    def d_head(self) -> int:
        return self.attention.d_head or self.d_model // self.attention.n_heads

    def per_layer(self, value: Any) -> list[Any]:
        """One value for each layer, from one for all or a list."""
        return per_layer(value, self.n_layers)


class DecoderConfig(ModelConfig):
    """A decoder-only language model (GPT-2, Llama, Mistral)."""

    architecture: Literal["decoder"] = "decoder"  # pyright: ignore[reportIncompatibleVariableOverride]
    embeddings: Literal["tied", "untied"] = "tied"  # does the output head share the token embedding's weight?
    heads: list[str] = Field(default_factory=list)  # expressions of models/heads; with any, they answer instead of the next token


class EncoderConfig(ModelConfig):
    """An encoder (BERT): every token sees the whole text; `heads` turn its hidden states into answers."""

    architecture: Literal["encoder"] = "encoder"  # pyright: ignore[reportIncompatibleVariableOverride]
    norm_placement: Literal["pre", "post"] = "post"  # before each half of a block, or after its sum
    n_segments: int | None = Field(default=None, gt=0)  # kinds of segment that have an embedding: BERT's sentence A and sentence B
    embedding_norm: bool = False
    embedding_scale: float = Field(default=1.0, gt=0)  # token embeddings are multiplied by it: sqrt(d_model) in Vaswani 2017
    heads: list[str] = Field(default_factory=list)  # expressions of models/heads


class EncoderDecoderConfig(ModelConfig):
    """An encoder whose output a decoder attends to (T5). `attention` is the encoder's; cross-attention shares its heads."""

    architecture: Literal["encoder_decoder"] = "encoder_decoder"  # pyright: ignore[reportIncompatibleVariableOverride]
    n_decoder_layers: int | None = Field(default=None, gt=0)  # None: as many as the encoder's
    decoder_attention: AttentionConfig
    embeddings: Literal["tied", "untied"] = "tied"
    head_scale: float = Field(default=1.0, gt=0)  # hidden states are multiplied by it before the output head

    @model_validator(mode="after")
    def _decoder_heads_fit(self) -> EncoderDecoderConfig:
        check_attention(self.decoder_attention, self.d_model, self.decoder_layers, "decoder_attention")
        return self

    @property
    def decoder_layers(self) -> int:
        return self.n_decoder_layers or self.n_layers


class HierarchicalConfig(ModelConfig):
    """An encoder of documents: tokens within sentences, then sentences within the document. `context_length` is that of a sentence."""

    architecture: Literal["hierarchical"] = "hierarchical"  # pyright: ignore[reportIncompatibleVariableOverride]
    n_sentences: int = Field(gt=0)  # the longest document, in sentences
    n_sentence_layers: int = Field(gt=0)
    pooling: Literal["mean", "max", "first"] = "mean"  # how vectors of one level become one of the next


ARCHITECTURES: dict[str, type[ModelConfig]] = {
    "decoder": DecoderConfig,
    "encoder": EncoderConfig,
    "encoder_decoder": EncoderDecoderConfig,
    "hierarchical": HierarchicalConfig,
}


def model_config(values: Mapping[str, Any], *, where: str = "") -> ModelConfig:
    """The config of the architecture that `values` name (a decoder when they name none). ConfigError for a wrong key or value.

    >>> model_config({"architecture": "encodr"})
    Traceback (most recent call last):
    isinglass.core.errors.ConfigError: unknown architecture 'encodr'
      known: decoder, encoder, encoder_decoder, hierarchical
    hint: did you mean 'encoder'?
    """
    name = values.get("architecture", "decoder")
    if name not in ARCHITECTURES:
        raise unknown("architecture", str(name), ARCHITECTURES, where=where)
    return build(ARCHITECTURES[name], values, where=where)


def per_layer(value: Any, n_layers: int) -> list[Any]:
    """One value for each layer, from one for all or a list."""
    return list(value) if isinstance(value, list) else [value] * n_layers


def check_attention(attention: AttentionConfig, d_model: int, n_layers: int, where: str) -> None:
    """ValueError when heads do not divide the width or each other, or a list is not as long as the layers are many."""
    heads = attention.n_heads
    groups = attention.n_kv_heads or heads
    if attention.d_head is None and d_model % heads:
        near = [d for d in range(heads, d_model + heads + 1, heads) if abs(d - d_model) < heads]
        raise ValueError(f"d_model = {d_model} is not divisible by {where}.n_heads = {heads}; try d_model = {' or '.join(map(str, near))}")
    if heads % groups:
        fits = [n for n in range(1, heads + 1) if heads % n == 0]
        raise ValueError(f"{where}.n_kv_heads = {groups} does not divide {where}.n_heads = {heads}; choose one of {fits}")
    for part in ("position", "mask", "kernel"):
        value = getattr(attention, part)
        if isinstance(value, list) and len(value) != n_layers:
            raise ValueError(f"{where}.{part} lists {len(value)} values for n_layers = {n_layers}; give one, or one per layer")
