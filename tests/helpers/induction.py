"""A transformer with two layers that continues what it has seen before, its weights set by hand: a circuit that must be found."""

from __future__ import annotations

import torch

from isinglass.generation.lm import LM
from isinglass.models.config import DecoderConfig
from isinglass.models.transformer import Decoder
from isinglass.nn.attention.config import AttentionConfig
from isinglass.text.byte_vocabulary import byte_tokenizer

PREVIOUS_HEAD = (0, 0)  # (layer, head)
INDUCTION_HEAD = (1, 1)
_SHARP = 60.0  # a score by which a match stands out: exp(-60) of the weight is left for all other keys


@torch.no_grad()
def induction_transformer(context_length: int = 128) -> LM:
    """Over bytes. After the second "ab" of a text it expects what followed the first "b", whatever the letters mean.

    The residual stream is four fields side by side, each one-hot: the token, its position, the token before it (written by the
    previous-token head), and the token expected next (written by the induction head, and all that the output head reads).
    The other head of each layer has no queries, keys or values: its attention is even and it adds nothing.
    """
    tokenizer = byte_tokenizer()
    vocab, time = tokenizer.vocab_size, context_length
    width = 3 * vocab + time
    d_head = max(vocab, time)
    config = DecoderConfig(
        family="gpt2", vocab_size=vocab, context_length=time, d_model=width, d_ff=1, n_layers=2, embeddings="untied",
        feedforward="mlp(activation='relu', bias=False)", norm="rms_norm", norm_eps=1e-12,
        attention=AttentionConfig(n_heads=2, d_head=d_head, position="learned", scale=1.0),
    )  # fmt: skip
    model = Decoder(config).requires_grad_(False).eval()
    for weight in model.parameters():
        weight.zero_()
    token, place = torch.arange(vocab), vocab + torch.arange(time)
    before, expected = vocab + time + torch.arange(vocab), 2 * vocab + time + torch.arange(vocab)

    model.embed_tokens.weight[token, token] = 1
    model.positions[0].weight[torch.arange(time), place] = 1
    # RMSNorm divides by sqrt(number of ones / width); its weight undoes that, so that fields keep the value 1
    for number, ones in ((0, 2), (1, 3)):
        model.layers[number].attention_norm.weight.fill_((ones / width) ** 0.5)
    model.norm.weight.fill_(1)
    model.lm_head.weight[token, expected] = 1

    first = model.layers[0].attention  # head 0: a query at position i has the key of position i - 1
    first.q_proj.weight[torch.arange(time - 1), place[1:]] = _SHARP
    first.k_proj.weight[torch.arange(time), place] = 1
    first.v_proj.weight[token, token] = 1
    first.o_proj.weight[before, token] = 1

    second, start = model.layers[1].attention, d_head  # head 1: a query of token t has the keys whose token before is t
    second.q_proj.weight[start + token, token] = _SHARP
    second.k_proj.weight[start + token, before] = 1
    second.k_proj.weight[start + token, place[0]] = -1  # the first token could look at nothing but itself: it has no token before
    second.v_proj.weight[start + token, token] = 1
    second.o_proj.weight[expected, start + token] = 1
    return LM(model, tokenizer)
