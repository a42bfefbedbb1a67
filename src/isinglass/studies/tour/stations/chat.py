"""A chat answer, with the exact tokens that the model was sent."""

from __future__ import annotations

from isinglass.core import units
from isinglass.generation.chat import reply, template_of
from isinglass.generation.lm import LM
from isinglass.show.marks.tokens import tokens
from isinglass.show.table import Table
from isinglass.studies.tour.station import Station, command, source
from isinglass.studies.tour.stations.vocabularies import pieces
from isinglass.text.template import Message, encode_chat

ORDER = 70
QUESTION = "What is the capital of France?"
_MAX_TOKENS = 48


def station(lm: LM) -> Station:
    title = "A chat is a text, too"
    if not lm.tokenizer.chat_template:
        return Station(title, "This model was not trained to chat: its tokenizer carries no chat template.", (), {"has_template": False})
    messages = [Message("user", QUESTION)]
    sent = encode_chat(lm.tokenizer, template_of(lm), messages)
    answer = reply(lm, messages, max_tokens=_MAX_TOKENS)
    controls = sum(id in set(lm.tokenizer.special.values()) for id in sent)
    again = command("chat", source(lm), QUESTION)
    strip = tokens(
        pieces(lm.tokenizer, sent), sent, title="What the model was sent: the template and the question", name="sent", command=again
    )
    said = Table(
        [{"who": "you", "says": QUESTION}, {"who": "the model", "says": answer.text.strip()}],
        title="What was asked and answered",
        command=again,
    )
    text = (
        f"The model only continues texts, so a chat is written as one: {len(sent)} tokens, of which {controls} are control tokens that no "
        f"typed text can become. The first answer token came after {units.duration(answer.timings.first_token_seconds)}, "
        f"{_rest(answer.timings.n_tokens, answer.timings.tokens_per_second)}"
    )
    facts = {
        "has_template": True, "question": QUESTION, "answer": answer.text, "finish": answer.finish, "sent_tokens": len(sent),
        "control_tokens": controls, "first_token_seconds": answer.timings.first_token_seconds,
        "tokens_per_second": answer.timings.tokens_per_second,
    }  # fmt: skip
    return Station(title, text, (strip, said), facts)


def _rest(n_tokens: int, per_second: float) -> str:
    return f"the others at {per_second:.1f} tokens per second." if n_tokens > 1 else "and it was the only one."
