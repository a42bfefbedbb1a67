"""The book's GPT: our decoder without the biases of q, k and v, and with weights drawn as torch's modules draw them."""

from __future__ import annotations

import torch
from torch import nn

from isinglass.models.config import DecoderConfig
from isinglass.models.presets import family
from isinglass.models.transformer import Decoder, on_meta
from isinglass.nn.attention.layer import Attention
from isinglass.nn.norms import LayerNorm


def on_meta_as_in_the_book(expression: str) -> Decoder:
    """A GPT-2 whose queries, keys and values have no bias, without memory for its weights."""
    config: DecoderConfig = family.resolve(expression)
    model = on_meta(config)
    for layer in model.modules():
        if isinstance(layer, Attention):
            for projection in (layer.q_proj, layer.k_proj, layer.v_proj):
                projection.register_parameter("bias", None)
    return model


@torch.no_grad()
def drawn_as_in_the_book(expression: str, seed: int) -> Decoder:
    """The same with weights: normal(0, 1) embeddings and torch's default linear layers, in the order of the forward pass.

    torch's own stream for `seed` is used and put back, so that nothing else is disturbed.
    """
    model = on_meta_as_in_the_book(expression).to_empty(device="cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in model.modules():  # our modules stand in the order in which the book makes its own
            draw_as_torch(module)
    return model.eval()


def draw_as_torch(module: nn.Module) -> None:
    """The weights of one module, its parts left out."""
    if isinstance(module, nn.Linear):
        module.reset_parameters()
    elif isinstance(module, LayerNorm):
        module.weight.fill_(1.0)
        module.bias.zero_()
    else:
        for weight in module.parameters(recurse=False):  # embeddings of tokens and of positions
            weight.normal_()
