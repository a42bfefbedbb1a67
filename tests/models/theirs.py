"""Encoders and encoder-decoders of transformers with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from isinglass.text.byte_vocabulary import byte_tokenizer

BERT = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, vocab_size=256, max_position_embeddings=64)
T5 = dict(d_model=32, d_kv=10, d_ff=48, num_layers=2, num_heads=4, vocab_size=256)


def shaken(model: Any) -> Any:
    """Weights (biases and norms too) far from their usual start."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape)
            weight.copy_(noise / weight.shape[0] ** 0.5 if weight.dim() == 2 else 0.2 * noise + (0 if name.endswith("bias") else 1))
    return model.eval()


def make(kind: str, **settings: Any) -> Any:
    """A transformers model by the name of its class."""
    import transformers

    base = BERT if kind.startswith("Bert") else T5
    config = getattr(transformers, "BertConfig" if base is BERT else "T5Config")(**{**base, **settings})
    config._attn_implementation = "eager"
    return shaken(getattr(transformers, kind)(config))


def save(model: Any, folder: Path) -> Path:
    """As their own `save_pretrained` does, with a byte vocabulary beside it."""
    model.save_pretrained(folder)
    byte_tokenizer().save(folder)
    return folder


def reload(kind: str, folder: Path) -> Any:
    """The class reads a folder that we wrote; a tensor that it misses is an error here."""
    import transformers

    model, info = getattr(transformers, kind).from_pretrained(folder, attn_implementation="eager", output_loading_info=True)
    assert not info["missing_keys"], info
    assert not info["unexpected_keys"], info
    return model.eval()
