"""Small models of every kind, with weights that are far from flat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

import isinglass as ig
from helpers.tensors import randomised
from isinglass.generation.lm import LM
from isinglass.models.adapted import adapt
from isinglass.text.tokenizer import Tokenizer

TEXTS = ["abcdef gh", "xy"]


def reader() -> Tokenizer:
    """A vocabulary for encoder-decoders: with padding to begin with, an end and sentinels."""
    special = ["<pad>", "</s>", "<unk>", "<extra_id_0>", "<extra_id_1>"]
    return ig.train_tokenizer("bpe", ["abc def gh xy " * 20], vocab_size=270, special=special)


def lively(lm: LM) -> LM:
    """Small embeddings, so that with a tied head a token does not simply predict itself."""
    randomised(lm.model)
    with torch.no_grad():
        getattr(lm.model, "body", lm.model).embed_tokens.weight.mul_(0.3)
    return lm


def with_lora() -> LM:
    lm = ig.create("tiny", seed=3)
    return lively(replace(lm, model=adapt(lm.model, "lora(rank=2)")))


KINDS: dict[str, Callable[[], LM]] = {
    "gpt2": lambda: lively(ig.create("gpt2(n_layers=2, d_model=32, n_heads=4, context_length=64)")),
    "llama with grouped heads": lambda: lively(ig.create("llama(n_layers=2, d_model=32, n_heads=4, n_kv_heads=2, d_ff=48)")),
    "bert": lambda: lively(ig.create("bert(n_layers=2, d_model=32, n_heads=4, heads=['masked_lm'])")),
    "t5": lambda: lively(ig.create("t5(n_layers=2, d_model=32, n_heads=4, d_head=8, d_ff=48)", tokenizer=reader())),
    "lora": with_lora,
}
