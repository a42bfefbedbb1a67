"""Llama 3: the role between header tokens, the text behind it, and `<|eot_id|>` at the end of each turn.

What: `<|begin_of_text|>` once, then for each message a header and its text without white space at the ends. Roles are free.

Why: As ChatML, but the role has fences of its own, so that neither it nor the text can be mistaken for the other.

Format: `<|start_header_id|>ROLE<|end_header_id|> \\n\\n TEXT <|eot_id|>`

Used by: Llama 3 and 3.1 Instruct

Source: Meta, "The Llama 3 Herd of Models", 2024; the prompt format of the model card
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from isinglass.text.template import Message, Part, Template, own, said

_JINJA = (
    "{{ 'BEGIN' }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Llama3(Template):
    """`begin` opens the text; empty when the tokenizer puts the first token there itself."""

    begin: str
    stops = ("<|eot_id|>", "<|end_of_text|>")

    @property
    def jinja(self) -> str:
        return _JINJA.replace("BEGIN", self.begin)

    def parts(self, messages: Sequence[Message], *, reply: bool) -> Iterable[Part]:
        yield own(self.begin)
        for message in messages:
            yield own("<|start_header_id|>")
            yield said(message.role)
            yield own("<|end_header_id|>\n\n")
            yield said(message.content.strip())
            yield own("<|eot_id|>")
        if reply:
            yield own("<|start_header_id|>assistant<|end_header_id|>\n\n")


def build(begin: str = "<|begin_of_text|>") -> Llama3:
    """The template; `begin` is what the text opens with."""
    return Llama3(begin)


EXAMPLE = dict(begin="<|begin_of_text|>")
