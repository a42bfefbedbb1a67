"""A decoder with a fresh head: what reward models and policies with a value head are trained as."""

from __future__ import annotations

import copy

import torch

from isinglass.core.errors import ConfigError
from isinglass.generation.lm import LM
from isinglass.models.headed import HeadedModel, make_heads
from isinglass.models.transformer import Decoder
from isinglass.nn.dropout import Dropout


def decoder_of(lm: LM, objective: str) -> Decoder:
    """The decoder of a model, that below its heads included. ConfigError for another architecture."""
    model = lm.model.body if isinstance(lm.model, HeadedModel) else lm.model
    if not isinstance(model, Decoder):
        kind = str(lm.config.architecture).replace("_", "-")
        raise ConfigError(f"{objective}: a model that is an {kind} cannot learn this", hint="take a decoder, such as smollm2")
    return model


def without_dropout(model: Decoder) -> Decoder:
    """A copy without dropout: what compares a policy with itself, or with its reference, would compare the draws of dropout instead."""
    model = copy.deepcopy(model)
    model.config = model.config.model_copy(update={"heads": []})
    for part in model.modules():
        if isinstance(part, Dropout):
            part.p = 0.0
    return model


@torch.no_grad()
def with_head(body: Decoder, head: str, seed: int) -> HeadedModel:
    """`body` below one new head; normal(0, 0.02), biases 0, from an explicit generator. `body` keeps its own config."""
    config = body.config.model_copy(update={"heads": [head]})
    model = HeadedModel(body, make_heads(config))
    model.config = config
    generator = torch.Generator().manual_seed(seed % 2**63)
    for weight in model.heads.parameters():
        weight.normal_(0.0, 0.02, generator=generator) if weight.dim() > 1 else weight.zero_()
    model.heads.to(body.embed_tokens.weight.dtype)
    return model
