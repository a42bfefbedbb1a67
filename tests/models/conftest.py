"""transformers models with random weights, saved as their own `save_pretrained` does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from isinglass.text.byte_vocabulary import byte_tokenizer

LLAMA = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=256)
GPT2 = dict(n_embd=32, n_layer=2, n_head=4, n_positions=64, vocab_size=256)
LLAMA3_ROPE = dict(
    rope_type="llama3", rope_theta=500_000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16
)
YARN_ROPE = dict(rope_type="yarn", rope_theta=10_000.0, factor=4.0, original_max_position_embeddings=16)

# name -> (transformers' family, its settings)
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2", GPT2),
    "gpt2 wide": ("GPT2", {**GPT2, "n_inner": 40, "activation_function": "gelu", "layer_norm_epsilon": 1e-3}),
    "llama untied": ("Llama", {**LLAMA, "tie_word_embeddings": False}),
    "llama tied": ("Llama", {**LLAMA, "tie_word_embeddings": True, "rms_norm_eps": 1e-5}),
    "llama, llama3 rope": ("Llama", {**LLAMA, "rope_parameters": LLAMA3_ROPE, "max_position_embeddings": 128}),
    "llama, linear rope": ("Llama", {**LLAMA, "rope_parameters": dict(rope_type="linear", rope_theta=10_000.0, factor=4.0)}),
    "llama, yarn rope": ("Llama", {**LLAMA, "rope_parameters": YARN_ROPE, "max_position_embeddings": 64}),
    "llama, biases": ("Llama", {**LLAMA, "attention_bias": True, "mlp_bias": True}),
    "llama, wide heads": ("Llama", {**LLAMA, "head_dim": 16}),
    "llama, multi-head": ("Llama", {**LLAMA, "num_key_value_heads": 4}),
    "mistral": ("Mistral", {**LLAMA, "sliding_window": 5}),
    "mistral without window": ("Mistral", {**LLAMA, "sliding_window": None}),
    "mistral, yarn rope": ("Mistral", {**LLAMA, "rope_parameters": YARN_ROPE, "max_position_embeddings": 64, "sliding_window": None}),
    "mixtral": ("Mixtral", {**LLAMA, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "mixtral, windowed": ("Mixtral", {**LLAMA, "num_local_experts": 11, "num_experts_per_tok": 3, "sliding_window": 5}),
}


def build(kind: str) -> Any:
    """The model, with weights (biases and norms too) far from their usual start."""
    import transformers

    family, settings = KINDS[kind]
    config = getattr(transformers, f"{family}Config")(**settings)
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = getattr(transformers, {"GPT2": "GPT2LMHeadModel"}.get(family, f"{family}ForCausalLM"))(config)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape)
            weight.copy_(noise / weight.shape[0] ** 0.5 if weight.dim() == 2 else 0.2 * noise + (0 if name.endswith("bias") else 1))
    return model.eval()


@pytest.fixture
def save_theirs(tmp_path: Path) -> Callable[..., tuple[Any, Path]]:
    """`save_theirs("gpt2")` -> (the model, the folder it was saved to, with a byte vocabulary beside it)."""

    def save(kind: str, **options: Any) -> tuple[Any, Path]:
        folder = tmp_path / "theirs"
        model = build(kind)
        model.save_pretrained(folder, **options)
        byte_tokenizer().save(folder)
        return model, folder

    return save
