"""Prompts and responses as ids: the same for preferences, rollouts and reward models, so that what is judged is what was learned."""

from __future__ import annotations

import string
from dataclasses import dataclass

from isinglass.core.errors import DataError, VariantError
from isinglass.data.records import Record
from isinglass.text.template import Message, Template, detect_template, encode_chat
from isinglass.text.templates import family as templates
from isinglass.text.templates.plain import Plain
from isinglass.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Prompting:
    """`prompt` is the name of a field, or text with fields in braces: "Rewrite: {kjv}". `template` names a chat template (None: the
    model's own, which for a base model is none: plain).

    >>> Prompting("{reference}:").text(Record({"reference": "Ruth 1:1"}, "web: Ruth 1:1"))
    'Ruth 1:1:'
    """

    prompt: str = "prompt"
    template: str | None = None

    def __post_init__(self) -> None:
        try:
            list(string.Formatter().parse(self.prompt))
        except ValueError as fault:
            raise VariantError(
                f"prompt = {self.prompt!r}: {fault}", hint='a field such as "prompt", or text such as "Rewrite: {kjv}"'
            ) from None

    def text(self, record: Record) -> str:
        """The prompt of a record. DataError, with file and line, for a missing field."""
        names = [name for _, name, _, _ in string.Formatter().parse(self.prompt) if name is not None]
        if not names:
            return record.string(self.prompt)
        return self.prompt.format(**{name: record.string(name) for name in names})

    def ids(self, tokenizer: Tokenizer, prompt: str) -> list[int]:
        """The ids of a prompt, up to where the response begins."""
        template = self._chosen(tokenizer)
        if isinstance(template, Plain):
            return tokenizer.encode(prompt, add_special=True)
        return encode_chat(tokenizer, template, [Message("user", prompt)])

    def _chosen(self, tokenizer: Tokenizer) -> Template:
        if self.template is None:
            return detect_template(tokenizer.chat_template, tokenizer.special)
        return templates.resolve(self.template, where="template")


def response_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a whole response: its end token, where the vocabulary has one, is part of what is learned."""
    end = [] if tokenizer.eos_id is None else [tokenizer.eos_id]
    return tokenizer.encode(text) + end


def fitting(prompt: list[int], response: list[int], context_length: int, place: str) -> list[int]:
    """As much of the response as fits behind the prompt. DataError for a prompt that leaves no room, or a response without a token."""
    room = context_length - len(prompt)
    if not prompt:
        raise DataError(f"{place}: the prompt is empty, so there is nothing to respond to")
    if room < 1:
        raise DataError(
            f"{place}: the prompt has {len(prompt):,} tokens, which leaves no room for a response in a context of {context_length:,}",
            hint="a longer context_length, or shorter prompts",
        )
    if not response:
        raise DataError(f"{place}: the response is empty and the vocabulary has no end token, so there is nothing to learn")
    return response[:room]
