"""Hierarchical: an encoder of documents that reads sentence by sentence.

What: a stack over the tokens of each sentence, their mean as the sentence's vector, and a stack over the sentences of the document.
Why: a long document costs attention within sentences and between sentences, never between all of its tokens.
Cost: n t^2 + n^2 scores for n sentences of t tokens
Used by: document classification and summarisation (HAN, HIBERT)
Paper: Yang et al. 2016, Hierarchical Attention Networks for Document Classification; Zhang et al. 2019, HIBERT
"""

from __future__ import annotations

from typing import Any

from isinglass.models.config import HierarchicalConfig
from isinglass.models.presets._settings import config

EXAMPLE = dict(n_layers=2, d_model=32, n_heads=4, vocab_size=256)

_DEFAULTS: dict[str, Any] = dict(
    family="hierarchical",
    vocab_size=30_522,
    context_length=128,
    n_sentences=64,
    d_model=256,
    n_layers=4,
    n_sentence_layers=2,
    n_heads=4,
    position="sinusoidal",
    mask="full",
    bias="all",
    feedforward="mlp(activation='gelu')",
    norm="layer_norm",
)


def build(**overrides: Any) -> HierarchicalConfig:
    """Any setting of the model or its attention; d_ff is 4 d_model unless given."""
    flat = {**_DEFAULTS, **overrides}
    return config({"d_ff": 4 * flat["d_model"], **flat}, HierarchicalConfig)
