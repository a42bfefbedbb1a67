"""What was typed, as what a model reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isinglass.generation.lm import LM
    from isinglass.generation.prompts import Prompt


def typed(lm: LM, text: str) -> Prompt:
    """The text itself; for an encoder its tokens with the model's own special ones, and `[MASK]` read as the mask that it answers at."""
    encoder = lm.config.architecture == "encoder"
    return lm.tokenizer.encode(text, special="parse", add_special=True) if encoder and text else text
