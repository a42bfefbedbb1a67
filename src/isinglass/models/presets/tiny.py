"""Tiny: a Llama small enough to run anywhere in milliseconds.

What: two layers, grouped heads, a vocabulary of bytes.
Why: to try a part, to test, to train on a laptop while you watch.
Cost: 0.1M parameters
Used by: examples and tests
Paper: none
"""

from __future__ import annotations

from typing import Any

from isinglass.models.config import DecoderConfig
from isinglass.models.presets import llama

EXAMPLE = dict()


def build(**overrides: Any) -> DecoderConfig:
    """Any setting of the model or its attention on top."""
    small = dict(d_model=64, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=176, vocab_size=256, context_length=256)
    return llama.build(**{**small, "position": "rotary(base=10000.0)", **overrides})
