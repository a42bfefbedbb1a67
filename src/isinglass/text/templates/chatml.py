"""ChatML: every message between `<|im_start|>` and `<|im_end|>`, with its role in the first line.

What: Two control tokens fence each message; the role is plain text behind the first. Roles are free.

Why: The fences cannot be typed by a user (their ids never come out of plain text), so a model can tell who said what.

Format: `<|im_start|>ROLE \\n TEXT <|im_end|> \\n`

Used by: SmolLM2, Qwen and many tuned models

Source: OpenAI, "Chat Markup Language", 2023
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from isinglass.text.template import Message, Part, Template, own, said

_JINJA = (
    "{% for m in messages %}BEGIN{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class ChatML(Template):
    """`default_system` opens conversations that have no system message of their own."""

    default_system: str | None
    stops = ("<|im_end|>",)

    @property
    def jinja(self) -> str:
        # the form that models come with, so that the default is found again
        told = (self.default_system or "").replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
        begin = f"{{% if loop.first and m.role != 'system' %}}{{{{ '<|im_start|>system\\n{told}<|im_end|>\\n' }}}}{{% endif %}}"
        return _JINJA.replace("BEGIN", "" if self.default_system is None else begin)

    def parts(self, messages: Sequence[Message], *, reply: bool) -> Iterable[Part]:
        if self.default_system is not None and messages and messages[0].role != "system":
            messages = [Message("system", self.default_system), *messages]
        for message in messages:
            yield own("<|im_start|>")
            yield said(message.role)
            yield own("\n")
            yield said(message.content)
            yield own("<|im_end|>\n")
        if reply:
            yield own("<|im_start|>assistant\n")


def build(default_system: str | None = None) -> ChatML:
    """The template; `default_system` is what the model is told when nobody tells it anything."""
    return ChatML(default_system)


EXAMPLE = dict(default_system="You are a helpful assistant.")
