"""Chat: messages in, the assistant's answer out, through the template the model was trained with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.generation.loop import generate, generating
from isinglass.generation.results import Generation, TokenOut
from isinglass.text.template import Message, Template, detect_template, encode_chat


def template_of(lm: LM) -> Template:
    """The chat template of a model; EngineError when its tokenizer has none."""
    if not lm.tokenizer.chat_template:
        raise EngineError("this model has no chat template", hint="use generate for plain continuation")
    return detect_template(lm.tokenizer.chat_template, lm.tokenizer.special)


def reply(lm: LM, messages: Sequence[Message], **options: Any) -> Generation:
    """The answer to a conversation; options as `generating`. Markers inside messages are plain text, never control tokens."""
    template = template_of(lm)
    return generate(lm, encode_chat(lm.tokenizer, template, messages), **{"stop": template.stops, **options})


def replying(lm: LM, messages: Sequence[Message], **options: Any) -> Iterator[TokenOut]:
    """The same as a stream of tokens."""
    template = template_of(lm)
    return generating(lm, encode_chat(lm.tokenizer, template, messages), **{"stop": template.stops, **options})
