"""Conversations in records: messages, an instruction with its output, or a prompt and a response from fields that one names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from isinglass.core.errors import DataError
from isinglass.data.records import Record
from isinglass.text.template import Message
from isinglass.training.prompting import Prompting

Form = Literal["messages", "instruction", "named"]
REPLY = "assistant"  # the role whose words are learned
# how texts begin that were put into a template already; a second one around them would teach the first as if somebody had said it
_MARKERS = (
    "<|im_start|>", "<|begin_of_text|>", "<|start_header_id|>", "[INST]", "<s>[INST]", "<start_of_turn>",
    "### Instruction:", "### Response:", "Below is an instruction that describes a task",
)  # fmt: skip


@dataclass(frozen=True)
class Conversation:
    """What was said, up to the last reply, and where it was found."""

    messages: tuple[Message, ...]
    place: str

    @property
    def reference(self) -> str:
        """The last reply."""
        return self.messages[-1].content

    @property
    def asked(self) -> list[str]:
        """What the last reply replies to: the texts since the reply before, an input apart from its instruction."""
        since = max((number + 1 for number, message in enumerate(self.messages[:-1]) if message.role == REPLY), default=0)
        return [message.content for message in self.messages[since:-1] if message.role != "system"]


@dataclass(frozen=True)
class Conversations:
    """How records are read. `prompt` (a field, or text with fields in braces) and `response` (a field) go together; without them a record
    holds `messages` (role and content of each), or `instruction`, perhaps `input` and `system`, and `output`: all records in one form.

    >>> record = Record({"kjv": "Thou art", "web": "You are"}, "verses.jsonl:1")
    >>> [message.content for message in Conversations("Rewrite: {kjv}", "web").read([record])[0].messages]
    ['Rewrite: Thou art', 'You are']
    """

    prompt: str | None = None
    response: str | None = None
    first: tuple[Form, str] | None = None  # the form that records have to be in, and where it was found

    def like(self, record: Record) -> Conversations:
        """The same for records in the form of this one."""
        return replace(self, first=(self._form(record), record.place))

    def read(self, records: Iterable[Record]) -> list[Conversation]:
        """The conversations of all records. DataError, with file and line, for a missing field, another form than that of the records
        before, a text that is in a template already, and a conversation without a reply.
        """
        found, first = [], self.first
        for record in records:
            form = self._form(record)
            if first is not None and form != first[0]:
                raise DataError(
                    f"{record.place}: this record holds {_NAMES[form]}, those before hold {_NAMES[first[0]]} ({first[1]})",
                    hint="one form for all records of a source",
                )
            first = first or (form, record.place)
            found.append(_until_the_last_reply(self._messages(record, form), record.place))
        return found

    def _form(self, record: Record) -> Form:
        if self.prompt is not None:
            return "named"
        forms: list[Form] = [form for form in ("messages", "instruction") if form in record.fields]  # type: ignore[misc]
        if not forms:
            raise DataError(
                f"{record.place}: no field 'messages', and no field 'instruction'",
                details=[f"it has: {', '.join(record.fields) or 'none'}"],
                hint="name the fields: instruction(prompt='...', response='...')",
            )
        return forms[0]

    def _messages(self, record: Record, form: Form) -> list[Message]:
        if form == "messages":
            return _listed(record)
        if form == "named":
            return [Message("user", Prompting(self.prompt or "").text(record)), Message(REPLY, record.string(self.response or ""))]
        system = [Message("system", record.string("system"))] if record.fields.get("system") else []
        given = [Message("input", record.string("input"))] if record.fields.get("input") else []
        return [*system, Message("user", record.string("instruction")), *given, Message(REPLY, record.string("output"))]


def _listed(record: Record) -> list[Message]:
    listed = record["messages"]
    if not isinstance(listed, list):
        raise DataError(f"{record.place}: field 'messages' is {listed!r}, expected a list", hint=_EXPECTED)
    return [_message(item, f"{record.place}: messages[{number}]") for number, item in enumerate(listed)]


def _message(item: Any, place: str) -> Message:
    if not isinstance(item, dict) or not all(isinstance(item.get(name), str) for name in ("role", "content")):
        raise DataError(f"{place} is {item!r}, expected an object with role and content, both text", hint=_EXPECTED)
    return Message(item["role"], item["content"])


def _until_the_last_reply(messages: list[Message], place: str) -> Conversation:
    replies = [number for number, message in enumerate(messages) if message.role == REPLY]
    if not replies:
        raise DataError(f"{place}: no message of the {REPLY}, so there is nothing to learn", hint=_EXPECTED)
    if replies[0] == 0:
        raise DataError(f"{place}: the first message is the {REPLY}'s, so there is nothing it replies to")
    for message in messages:
        if message.role == "user" and not message.content.strip():
            raise DataError(f"{place}: the text of the user is empty, so there is nothing to reply to")
        marker = next((each for each in _MARKERS if message.content.lstrip().startswith(each)), None)
        if marker is not None:
            raise DataError(
                f"{place}: the text of the {message.role} begins with {marker!r}: it is in a template already, and would get a second one",
                hint="give what was said alone: the objective puts the template around it",
            )
    return Conversation(tuple(messages[: replies[-1] + 1]), place)


_NAMES: dict[Form, str] = {"messages": "'messages'", "instruction": "'instruction' and 'output'", "named": "the fields that were named"}
_EXPECTED = '[{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]'
