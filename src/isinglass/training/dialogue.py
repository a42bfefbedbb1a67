"""A conversation as ids, each known to be a reply's or not: what is learned follows from who said it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from isinglass.core.errors import DataError, TokenizerError
from isinglass.text.template import Message, Part, Template
from isinglass.text.templates.alpaca import Alpaca
from isinglass.text.templates.plain import Plain
from isinglass.text.tokenizer import Tokenizer
from isinglass.training.conversations import REPLY, Conversation

Trained = Literal["response", "all"]


@dataclass(frozen=True)
class Dialogue:
    """Ids, whether each is trained, and where they come from. Token t is predicted from those before it, so the first never is."""

    ids: tuple[int, ...]
    trained: tuple[bool, ...]
    place: str

    def __len__(self) -> int:
        """Tokens that are read: all but the last, which is only said."""
        return len(self.ids) - 1


@dataclass(frozen=True)
class Turn:
    """What stands before a reply, as ids that follow the turn before, and the ids of the reply, its end included."""

    prompt: list[int]
    reply: list[int]


def dialogue(tokenizer: Tokenizer, template: Template, conversation: Conversation, trained: Trained = "response") -> Dialogue:
    """The ids of a conversation. DataError, with file and line, where nothing of it can be trained."""
    ids, flags = list[int](), list[bool]()
    for turn in turns(tokenizer, template, conversation):
        ids += [*turn.prompt, *turn.reply]
        flags += [trained == "all"] * len(turn.prompt) + [True] * len(turn.reply)
    if not any(flags[1:]):
        raise DataError(
            f"{conversation.place}: not one token is trained: the reply is empty and the vocabulary has no end token",
            hint="leave out records without a reply",
        )
    return Dialogue(tuple(ids), tuple(flags), conversation.place)


def question(tokenizer: Tokenizer, template: Template, conversation: Conversation) -> list[int]:
    """The ids up to where the last reply begins: what a model that was trained on such conversations is asked with."""
    *before, last = turns(tokenizer, template, conversation)
    return [id for turn in before for id in (*turn.prompt, *turn.reply)] + last.prompt


def turns(tokenizer: Tokenizer, template: Template, conversation: Conversation) -> Iterator[Turn]:
    """Each reply with what stands before it. A reply is encoded by itself, as it is when a model writes it token by token.

    It ends with what the template ends it with where that is a control token or a text of its own, else with the vocabulary's end token.
    """
    messages = _joined(template, conversation.messages)
    done = 0  # characters of the conversation that are encoded
    for number in (number for number, message in enumerate(messages) if message.role == REPLY):
        before, content, end = _around(template, messages[: number + 1], conversation.place)
        prompt = _begin(tokenizer, template) * (done == 0) + tokenizer.encode_parts(_behind(before, done))
        yield Turn(prompt, tokenizer.encode(content) + (tokenizer.encode_parts([(end, True)]) if end else _end(tokenizer)))
        done = _length(before) + len(content) + len(end)


def _around(template: Template, messages: list[Message], place: str) -> tuple[list[Part], str, str]:
    """The parts before the last message, which is a reply, its content as the template writes it, and the text that ends it."""
    try:
        before, whole = list(template.parts(messages[:-1], reply=True)), list(template.parts(messages, reply=False))
    except TokenizerError as fault:  # a role the template has no words for
        raise DataError(f"{place}: {fault.message}", hint="another template, such as chatml, takes every role") from None
    rest = list(_behind(whole, _length(before)))
    # a template without words for "now reply" puts what stands between two messages behind the prompt
    said = next(number for number, (_, own) in enumerate(rest) if not own)
    closing = "".join(text for text, _ in rest[said + 1 :])
    end = next((stop for stop in template.stops if closing.startswith(stop)), "")
    return before + rest[:said], rest[said][0], end


def _joined(template: Template, messages: Iterable[Message]) -> list[Message]:
    """Only Alpaca has words for an input; elsewhere it stands below the instruction."""
    if isinstance(template, Alpaca):
        return list(messages)
    joined: list[Message] = []
    for message in messages:
        if message.role == "input" and joined:
            joined[-1] = replace(joined[-1], content=f"{joined[-1].content}\n\n{message.content}")
        else:
            joined.append(message)
    return joined


def _begin(tokenizer: Tokenizer, template: Template) -> list[int]:
    """Without a template a text begins as every text does; a template writes its own beginning."""
    return [id for id in tokenizer.encode("", add_special=True) if id == tokenizer.bos_id] if isinstance(template, Plain) else []


def _end(tokenizer: Tokenizer) -> list[int]:
    return [] if tokenizer.eos_id is None else [tokenizer.eos_id]


def _behind(parts: Iterable[Part], n_characters: int) -> Iterator[Part]:
    """The parts without their first characters."""
    for text, own in parts:
        if len(text) > n_characters or n_characters == 0:  # an empty text behind them is a part as well
            yield text[n_characters:], own
        n_characters = max(0, n_characters - len(text))


def _length(parts: Iterable[Part]) -> int:
    return sum(len(text) for text, _ in parts)
