"""The settings of attention: values only."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from isinglass.core.config import Config

Variant = str | list[str] | Any  # an expression, one per layer, or an object of the family's class


class AttentionConfig(Config):
    """Heads, position, mask and kernel.

    `n_kv_heads` None means as many as `n_heads`, `d_head` None d_model / n_heads, `scale` None 1 / sqrt(d_head).
    """

    n_heads: int = Field(gt=0)
    n_kv_heads: int | None = Field(default=None, gt=0)
    d_head: int | None = Field(default=None, gt=0)
    position: Variant = "rotary"
    mask: Variant = "causal"
    kernel: Variant = "sdpa"
    bias: Literal["none", "qkv", "all"] = "none"
    scale: float | None = Field(default=None, gt=0)
