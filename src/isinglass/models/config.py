"""The settings of a model: values only, strict, saved with every model as `config.toml`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from isinglass.core.config import Config
from isinglass.nn.attention.config import AttentionConfig


class DecoderConfig(Config):
    """A decoder-only language model (GPT-2, Llama, Mistral). Widths in numbers of features, lengths in tokens."""

    architecture: Literal["decoder"] = "decoder"
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
    embeddings: Literal["tied", "untied"] = "tied"  # does the output head share the token embedding's weight?
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_fit(self) -> DecoderConfig:
        heads, groups = self.attention.n_heads, self.n_kv_heads
        if self.attention.d_head is None and self.d_model % heads:
            near = [d for d in range(heads, self.d_model + heads + 1, heads) if abs(d - self.d_model) < heads]
            raise ValueError(
                f"d_model = {self.d_model} is not divisible by attention.n_heads = {heads}; try d_model = {' or '.join(map(str, near))}"
            )
        if heads % groups:
            fits = [n for n in range(1, heads + 1) if heads % n == 0]
            raise ValueError(f"attention.n_kv_heads = {groups} does not divide attention.n_heads = {heads}; choose one of {fits}")
        for part in ("position", "mask", "kernel"):
            value = getattr(self.attention, part)
            if isinstance(value, list) and len(value) != self.n_layers:
                raise ValueError(f"attention.{part} lists {len(value)} values for n_layers = {self.n_layers}; give one, or one per layer")
        return self

    @property
    def n_kv_heads(self) -> int:
        return self.attention.n_kv_heads or self.attention.n_heads

    @property
    def d_head(self) -> int:
        return self.attention.d_head or self.d_model // self.attention.n_heads

    def per_layer(self, value: Any) -> list[Any]:
        """One value for each layer, from one for all or a list."""
        return list(value) if isinstance(value, list) else [value] * self.n_layers
