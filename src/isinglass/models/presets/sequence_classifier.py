"""Sequence classifier: the first transformer's encoder, its mean, one score per label.

What: sinusoidal positions, embeddings times sqrt(d_model), LayerNorm after each half, ReLU, mean over the tokens, a linear layer.
Why: the smallest whole model that learns a task from labels alone; the exercise of the class notes.
Cost: 7.3M parameters at the sizes of the exercise
Used by: class exercises
Paper: Vaswani et al. 2017, Attention Is All You Need, section 3
"""

from __future__ import annotations

from typing import Any

from isinglass.models.config import EncoderConfig
from isinglass.models.presets._settings import config

EXAMPLE = dict(n_layers=2, d_model=32, n_heads=4, vocab_size=256)

_DEFAULTS: dict[str, Any] = dict(
    family="sequence_classifier",
    vocab_size=10_000,
    context_length=512,
    d_model=256,
    n_layers=6,
    n_heads=8,
    position="sinusoidal",
    mask="full",
    bias="all",
    feedforward="mlp(activation='relu')",
    norm="layer_norm",
    norm_placement="post",
    dropout=0.1,
)


def build(n_labels: int = 3, **overrides: Any) -> EncoderConfig:
    """Any setting of the model or its attention on top; d_ff is 4 d_model unless given."""
    flat = {**_DEFAULTS, "heads": [f"classification(n_labels={n_labels}, pooling='mean')"], **overrides}
    return config({"d_ff": 4 * flat["d_model"], "embedding_scale": flat["d_model"] ** 0.5, **flat}, EncoderConfig)
