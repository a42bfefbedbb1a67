"""`isinglass chat`: a conversation, line by line, or one answer."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

from isinglass.cli.generate import Row, collect, summary, told_when_stopped
from isinglass.cli.output import Output, Result
from isinglass.cli.sampling import Length, Sampling
from isinglass.cli.texts import OptionalText, read_text
from isinglass.cli.verb import Model, option, verb
from isinglass.core.errors import ConfigError, IsinglassError

if TYPE_CHECKING:
    from isinglass.generation.results import TokenOut
    from isinglass.text.template import Message

    Ask = Callable[[list[Message]], Iterator[TokenOut]]

EXAMPLES = (
    "isinglass chat smollm2",
    'isinglass chat smollm2 "What is the capital of France?"',
    'isinglass chat smollm2 "Name a colour." --system "Answer in one word." --temperature 0.7 --json',
)
app = verb(
    "chat",
    EXAMPLES,
    notes=["Without a MESSAGE: one line is one message. Ctrl-C stops an answer, /reset forgets the conversation, /exit or Ctrl-D ends it."],
)


@app.default
def chat(
    model: Model,
    message: OptionalText = None,
    /,
    *,
    system: Annotated[str | None, option("What the model is told first.")] = None,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    length: Length = Length(),  # noqa: B008 - frozen
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Talk with a model."""
    if message is None and output.json:
        raise ConfigError("--json needs a MESSAGE", hint=f'isinglass chat {model} "Hello" --json')
    first = None if message is None else read_text(message)
    strategy = sampling.chosen()
    with output.working(f"loading {model}"):
        from isinglass.generation.chat import replying, template_of
        from isinglass.generation.lm import load
        from isinglass.text.template import Message

        lm = load(model, dtype=length.dtype)
        template = template_of(lm)

    def ask(messages: list[Message]) -> Iterator[TokenOut]:
        return replying(
            lm,
            messages,
            strategy=strategy,
            max_tokens=length.max_tokens,
            stop=(*template.stops, *length.stop),
            seed=sampling.seed,
            compile=length.compile,
        )

    opening = [] if system is None else [Message("system", system)]
    if first is None:
        _talk(ask, opening, output)
    else:
        _once(ask, [*opening, Message("user", first)], model, output)


def _once(ask: Ask, messages: list[Message], model: str, output: Output) -> None:
    row, began = Row(messages[-1].content), time.perf_counter()
    events = ask(messages)

    def tell() -> None:
        if not output.json:
            print(flush=True)
        output.say(summary([row], time.perf_counter() - began))
        said = [{"role": one.role, "content": one.content} for one in messages] + [{"role": "assistant", "content": row.text}]
        output.emit(Result({"model": model, "messages": said, "answer": row.data()}, text=row.text), printed=True)

    with told_when_stopped(tell):
        collect(events, [row], stream=not output.json)


def _talk(ask: Ask, opening: list[Message], output: Output) -> None:
    """The conversation until /exit or the end of the input."""
    from isinglass.text.template import Message

    messages = list(opening)
    if sys.stdin.isatty():
        output.say("/exit or Ctrl-D ends, Ctrl-C stops an answer, /reset forgets the conversation")
    try:
        for line in _lines():
            if line == "/exit":
                break
            if line == "/reset":
                messages = list(opening)
                output.say("forgotten")
            elif line:
                messages += _turn(ask, [*messages, Message("user", line)], output)
    finally:
        said = [{"role": one.role, "content": one.content} for one in messages]
        text = "\n\n".join(f"{one.role}: {one.content}" for one in messages)
        output.emit(Result({"messages": said}, text=text), printed=True)


def _turn(ask: Ask, messages: list[Message], output: Output) -> list[Message]:
    """Ask and show the answer; the two messages to remember, none when the question was refused."""
    from isinglass.text.template import Message

    row, began = Row(messages[-1].content), time.perf_counter()
    try:
        with closing(ask(messages)) as events:  # type: ignore[type-var] # a generator
            collect(events, [row], stream=True)
    except KeyboardInterrupt:
        output.say("\nstopped")
    except IsinglassError as error:  # for instance a conversation longer than the context: the next message may be fine
        print(f"error: {error}", file=sys.stderr)
        return []
    print(flush=True)
    output.say(summary([row], time.perf_counter() - began))
    return [messages[-1], Message("assistant", row.text)]


def _lines() -> Iterator[str]:
    """What a person types, with line editing, or the lines of a pipe."""
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin)
        return
    import contextlib

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives input() editing and history
    while True:
        try:
            yield input("> ").strip()
        except EOFError:
            print()
            return
