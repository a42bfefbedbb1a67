"""Alpaca: an instruction and a response under headings of plain text.

What: A sentence that says what follows, then `### Instruction:`, an optional `### Input:`, and `### Response:`. There are no
control tokens, so any tokenizer can be used. Roles: system (replaces the first sentence), user, input, assistant.

Why: The simplest format in which a base model can be taught to follow instructions, and the one that most teaching data comes in.

Format: `PREAMBLE \\n\\n ### Instruction: \\n TEXT \\n\\n ### Input: \\n TEXT \\n\\n ### Response: \\n`

Used by: Stanford Alpaca and the models tuned on data of its kind

Source: Taori et al., "Stanford Alpaca: An Instruction-following LLaMA model", 2023
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from isinglass.text.template import Message, Part, Template, check_roles, own, said

PREAMBLE = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
_HEADINGS = {"user": "### Instruction:\n", "input": "### Input:\n", "assistant": "### Response:\n"}
_JINJA = (
    '{%- set preamble = "PREAMBLE" %}'
    "{%- set headings = {'user': '### Instruction:\\n', 'input': '### Input:\\n', 'assistant': '### Response:\\n'} %}"
    "{{- messages[0].content if messages[0].role == 'system' else preamble }}"
    "{%- for m in messages %}{%- if m.role != 'system' or not loop.first %}"
    "{{- '\\n\\n' + headings.get(m.role, '') + m.content }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '\\n\\n' + headings.assistant }}{%- endif %}"
)


@dataclass(frozen=True)
class Alpaca(Template):
    """`preamble` is the first sentence, unless a system message comes instead."""

    preamble: str
    stops = ("\n\n### Instruction:", "\n### Instruction:")

    @property
    def jinja(self) -> str:
        return _JINJA.replace("PREAMBLE", self.preamble.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))

    def parts(self, messages: Sequence[Message], *, reply: bool) -> Iterable[Part]:
        check_roles(messages, ["system", *_HEADINGS], "alpaca")
        begins = bool(messages) and messages[0].role == "system"
        yield said(messages[0].content) if begins else own(self.preamble)
        for message in messages[begins:]:
            yield own("\n\n" + _HEADINGS.get(message.role, ""))
            yield said(message.content)
        if reply:
            yield own("\n\n" + _HEADINGS["assistant"])


def build(preamble: str = PREAMBLE) -> Alpaca:
    """The template; `preamble` is what it begins with."""
    return Alpaca(preamble)


EXAMPLE = dict(preamble="Follow the instruction.")
