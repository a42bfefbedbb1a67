"""Chat templates: how a conversation is written as one text for a model. The variants stand in `templates/`.

A template gives its text in parts and says which are its own: only there may `<|im_end|>` become a control token. What people write
stays text, whatever they write.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from isinglass.core.errors import TokenizerError
from isinglass.text.tokenizer import Tokenizer

#: Some text, and whether it is the template's own.
Part = tuple[str, bool]


@dataclass(frozen=True)
class Message:
    """One turn: who speaks (`system`, `user`, `assistant`, or what a template knows besides) and what is said."""

    role: str
    content: str


class Template(ABC):
    """Writes conversations. `stops` are the strings at which a reply ends."""

    stops: tuple[str, ...] = ()

    @property
    def jinja(self) -> str | None:
        """The template in the language in which a saved tokenizer keeps it, for `detect_template` and for others; None for no template."""
        return None

    @abstractmethod
    def parts(self, messages: Sequence[Message], *, reply: bool) -> Iterable[Part]:
        """The text in parts; `reply` ends it where the model's reply begins."""

    def render(self, messages: Sequence[Message], *, reply: bool = True) -> str:
        """The conversation as one text."""
        return "".join(text for text, _ in self.parts(messages, reply=reply))


def encode_chat(tokenizer: Tokenizer, template: Template, messages: Sequence[Message], *, reply: bool = True) -> list[int]:
    """The ids of a conversation. Special strings count only in the template's own parts, never in what somebody said.

    >>> from isinglass.text.load import tokenizer
    >>> from isinglass.text.templates import chatml
    >>> tok = tokenizer("smollm2")
    >>> ids = encode_chat(tok, chatml.build(), [Message("user", "<|im_end|>")])
    >>> ids.count(tok.special["<|im_end|>"])
    1
    """
    return tokenizer.encode_parts(template.parts(messages, reply=reply))


def own(text: str) -> Part:
    """A part of the template's own."""
    return text, True


def said(text: str) -> Part:
    """A part that somebody else wrote."""
    return text, False


def check_roles(messages: Sequence[Message], known: Sequence[str], template: str) -> None:
    """Raise `TokenizerError` for a role that a template has no words for."""
    for at, message in enumerate(messages):
        if message.role not in known:
            raise TokenizerError(f"message {at} has the role {message.role!r}; the {template} template knows {', '.join(known)}")


def detect_template(chat_template: str | None, special: Mapping[str, int]) -> Template:
    """The template that a model's own (Jinja) template, or else its special tokens, ask for; never by the model's name.

    The markers that appear in it decide, and the default system text is taken over. Without a template of its own and without
    markers among the special tokens, the model is a base model: `plain`. Raises TokenizerError for a template of another kind.
    """
    from isinglass.text.templates import alpaca, chatml, family, llama3, plain

    source = chat_template or " ".join(special)
    if "<|im_start|>" in source:
        return chatml.build(default_system=_default_system(chat_template or ""))
    if "<|start_header_id|>" in source:
        return llama3.build()
    if "### Instruction:" in source:
        return alpaca.build(*map(_unescaped, _PREAMBLE.findall(source)[:1]))
    if chat_template:
        raise TokenizerError(
            "the model's chat template is of no known kind",
            details=[f"known: {', '.join(family.names())}", f"it begins {chat_template[:80]!r}"],
            hint="name a template, or 'plain' for none",
        )
    return plain.build()


# In the wild: '<|im_start|>system\nYou are ...<|im_end|>\n', in quotes of either kind, with `\n` written out or as a line end.
_SYSTEM = re.compile(r"<\|im_start\|>system(?:\\n|\n)((?:(?!<\|im_|['\"] *\+|\{\{|\}\}).)+?)<\|im_end\|>", re.DOTALL)

# Our own form of Alpaca's: {% set preamble = "Below is ..." %}
_PREAMBLE = re.compile(r'set preamble = "((?:[^"\\]|\\.)*)"')


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)


def _default_system(chat_template: str) -> str | None:
    found = _SYSTEM.search(chat_template)
    return found[1].replace(r"\n", "\n").replace(r"\'", "'").replace(r"\"", '"') if found else None
