"""No template: what was said, and nothing else.

What: The contents of all messages, one after another, on lines of their own. Roles are not written.

Why: A base model has never seen a conversation; it continues text. Markers it does not know would only confuse it.

Format: `CONTENT \\n CONTENT`

Used by: base models (GPT-2, SmolLM2 before instruction tuning)

Source: none
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from isinglass.text.template import Message, Part, Template, own, said


@dataclass(frozen=True)
class Plain(Template):
    """`between` stands between messages."""

    between: str

    def parts(self, messages: Sequence[Message], *, reply: bool) -> Iterable[Part]:
        for at, message in enumerate(messages):
            if at:
                yield own(self.between)
            yield said(message.content)


def build(between: str = "\n") -> Plain:
    """The template; `between` stands between messages."""
    return Plain(between)


EXAMPLE = dict(between="\n")
