"""A GPT with each step a choice, and the mistakes in it; those of its blocks are mistakes of the whole too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from isinglass.inspection.mistakes import block as blocks
from isinglass.inspection.mistakes.attention import Projection
from isinglass.inspection.mistakes.block import BlockSteps, BlockWeights
from isinglass.inspection.mistakes.layer_norm import NormWeights, layer_norm
from isinglass.inspection.mistakes.mistake import Mistake, lifted


@dataclass(frozen=True, eq=False)
class GPTWeights:
    """`positions` None: there are none; `norm` None: no final norm; a tied head is the token embedding."""

    tokens: Tensor
    positions: Tensor | None
    blocks: tuple[BlockWeights, ...]
    norm: NormWeights | None
    head: Projection


@dataclass(frozen=True)
class GPTSteps:
    """The choices of a GPT; the defaults are GPT-2's (Radford et al. 2019)."""

    block: BlockSteps = field(default_factory=BlockSteps)
    positions: str = "added"
    token_scale: str = "1"
    layers: str = "all"
    norm: str = "applied"
    output: str = "logits"


def gpt(ids: Tensor, weights: GPTWeights, steps: GPTSteps) -> Tensor:
    """Ids (batch, time) -> logits (batch, time, vocab); with the default steps equal to `models.transformer.Decoder` of the gpt2 preset."""
    x = weights.tokens[ids]
    time, width = x.shape[1:]
    x = x * width**0.5 if steps.token_scale == "sqrt(d_model)" else x
    if weights.positions is not None and steps.positions != "left out":
        start = {"from 1": 1, "added": 0}.get(steps.positions, 0)
        places = weights.positions[start : start + time]
        x = x + {"last for all": places[-1:], "reversed": places.flip(0), "first for all": places[:1]}.get(steps.positions, places)
    chosen = {"first alone": weights.blocks[:1], "first each time": weights.blocks[:1] * len(weights.blocks), "none": ()}
    for layer in chosen.get(steps.layers, weights.blocks):
        x = blocks.block(x, layer, steps.block)
    if weights.norm is not None and steps.norm == "applied":
        x = layer_norm(x, weights.norm, steps.block.norm)
    logits = weights.head(x)
    return {"softmax": logits.softmax(-1), "log_softmax": logits.log_softmax(-1)}.get(steps.output, logits)


def _mistake(name: str, words: str, hint: str, right: bool = False, **change: Any) -> Mistake[GPTSteps]:
    return Mistake(name, words, hint, lambda steps: replace(steps, **change), right)


_EMBED = "x = tok_emb(ids) + pos_emb(torch.arange(time))"

OWN: tuple[Mistake[GPTSteps], ...] = (
    _mistake("no_positions", "without adding the position embeddings: the order of tokens is lost", _EMBED, positions="left out"),
    _mistake("positions_from_one", "with positions that count from 1 instead of 0", _EMBED, positions="from 1"),
    _mistake("one_position", "with the same position for every token", _EMBED, positions="first for all"),
    _mistake("last_position", "with the last position for every token", _EMBED, positions="last for all"),
    _mistake("positions_reversed", "with positions in reverse", _EMBED, positions="reversed"),
    _mistake("tokens_scaled", "with token embeddings multiplied by sqrt(d_model), which GPT-2 does not do", _EMBED,
             token_scale="sqrt(d_model)"),
    _mistake("no_final_norm", "without the final norm before the head: it is there, but not used", "logits = head(norm(x))",
             norm="left out"),
    _mistake("first_layer_alone", "with the first block alone", "for block in blocks: x = block(x)", layers="first alone"),
    _mistake("first_layer_each_time", "with the first block in the place of every other", "for block in blocks: x = block(x)",
             layers="first each time"),
    _mistake("no_layers", "without any block", "for block in blocks: x = block(x)", layers="none"),
    _mistake("softmax_in_the_model", "with a softmax at the end: probabilities, not logits (cross_entropy takes logits)", "return logits",
             output="softmax"),
    _mistake("log_softmax_in_the_model", "with a log-softmax at the end (cross_entropy takes logits)", "return logits",
             output="log_softmax"),
)  # fmt: skip


def _in_blocks(steps: GPTSteps, change: Callable[[BlockSteps], BlockSteps]) -> GPTSteps:
    return replace(steps, block=change(steps.block))


MISTAKES: tuple[Mistake[GPTSteps], ...] = (*OWN, *(lifted(mistake, _in_blocks) for mistake in blocks.MISTAKES))
