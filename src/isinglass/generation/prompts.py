"""Prompts: from texts or ids to one padded batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import torch
from torch import Tensor

from isinglass.core.errors import ConfigError, EngineError
from isinglass.generation.lm import LM
from isinglass.nn.attention.slots import Slots
from isinglass.text.tokenizer import Tokenizer

_STARTS = ("<pad>", "[PAD]")  # T5's decoder begins with padding
Prompt = str | Sequence[int]


def is_single(prompts: Prompt | Sequence[Prompt]) -> TypeGuard[Prompt]:
    """One text or one list of ids, as against a list of either."""
    return isinstance(prompts, str) or (len(prompts) > 0 and isinstance(prompts[0], int))


def as_list(prompts: Prompt | Sequence[Prompt]) -> list[Prompt]:
    """A list of prompts, whatever was given."""
    return [prompts] if is_single(prompts) else list(prompts)  # type: ignore[arg-type]


def encode_prompts(lm: LM, prompts: Prompt | Sequence[Prompt], max_tokens: int) -> list[list[int]]:
    """Ids of each prompt; EngineError for an empty one or one that leaves no room for a token."""
    if max_tokens < 1:
        raise EngineError(f"max_tokens = {max_tokens!r}, expected at least 1")
    if not prompts and not isinstance(prompts, str):
        raise EngineError("no prompts were given")
    encoded = [lm.encode(prompt) for prompt in as_list(prompts)]
    context = lm.config.context_length
    for number, ids in enumerate(encoded):
        if not ids:
            raise EngineError(f"prompt {number} is empty", hint="give at least one token to continue, for instance a space or a first word")
        if len(ids) > context:
            raise EngineError(f"prompt {number} has {len(ids)} tokens; the model's context holds {context}", hint="shorten the prompt")
    return encoded


def pad_left(rows: Sequence[Sequence[int]], device: torch.device, starts: Sequence[int] | None = None) -> tuple[Tensor, Slots]:
    """Rows of unequal length as one tensor; padding stands first, is not valid.

    Real tokens count from position 0, or each row's from its own of `starts`.
    """
    longest = max(map(len, rows))
    padding = torch.tensor([longest - len(row) for row in rows], device=device)
    ids = torch.tensor([[0] * (longest - len(row)) + list(row) for row in rows], device=device)
    places = torch.arange(longest, device=device)
    position = (places[None] - padding[:, None]).clamp(min=0)
    position = position if starts is None else position + torch.tensor(starts, device=device)[:, None]
    ragged = bool((padding > 0).any())
    return ids, Slots(position, valid=places[None] >= padding[:, None] if ragged else None)


def decoder_start(tokenizer: Tokenizer) -> int:
    """The token that the decoder of an encoder-decoder begins with. ConfigError for a vocabulary without one."""
    start = next((tokenizer.special[name] for name in _STARTS if name in tokenizer.special), tokenizer.bos_id)
    if start is None:
        raise ConfigError(
            f"the tokenizer {tokenizer.name!r} has no token for the decoder to begin with",
            details=[f"looked for {', '.join(_STARTS)} and a begin-of-text token"],
            hint="train one with special=['<pad>', ...]",
        )
    return start
