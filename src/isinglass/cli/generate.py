"""`isinglass generate`: a prompt continued, streamed as it is chosen."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from isinglass.cli.output import Output, Result, stdout_is_terminal
from isinglass.cli.sampling import Length, Sampling
from isinglass.cli.texts import OptionalText, read_file, read_text
from isinglass.cli.verb import Model, at_least, option, verb
from isinglass.core.errors import ConfigError
from isinglass.core.units import duration
from isinglass.show.format import visible
from isinglass.show.table import Table

if TYPE_CHECKING:
    from isinglass.generation.results import Speculated, TokenOut

EXAMPLES = (
    'isinglass generate smollm2 "The capital of France is" --max-tokens 40',
    'isinglass generate smollm2 "Once upon a time" --temperature 0.8 --top-p 0.9 --seed 7',
    'isinglass generate smollm2 "One, two," --strategy "sample(top_k=5)" --stop "." --json',
    "isinglass generate smollm2 --prompts-file prompts.txt --save answers.csv",
    'isinglass generate smollm2 "It was a cold night and" --compare "greedy; sample(top_p=0.9); contrastive" --max-tokens 40',
)
app = verb("generate", EXAMPLES, notes=["Only the new text goes to stdout. Ctrl-C ends it and keeps what is there."])
_ENDS = {"length": "--max-tokens reached", "stop": "a stop text was met", "end": "the model ended it", "context": "the context is full"}


@app.default
def generate(
    model: Model,
    prompt: OptionalText = None,
    /,
    *,
    prompts_file: Annotated[Path | None, option("Several prompts, one per line, as one batch.")] = None,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    length: Length = Length(),  # noqa: B008 - frozen
    ignore_end: Annotated[bool, option("Go on after the model's end token.")] = False,
    no_stream: Annotated[bool, option("Print the text when it is complete.")] = False,
    compare: Annotated[str | None, option("Several strategies side by side, with measures: expressions with ; between them.")] = None,
    samples: Annotated[int, option("With --compare: texts per strategy.", validator=at_least(1))] = 3,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Continue a prompt."""
    prompts = _prompts(prompt, prompts_file)
    if compare is not None:
        compared(model, prompts, compare, samples, sampling, length, output)
        return
    strategy = sampling.chosen()
    with output.working(f"loading {model}"):
        from isinglass.generation.lm import load
        from isinglass.generation.loop import generating

        lm = load(model, dtype=length.dtype)
    rows = [Row(text) for text in prompts]
    streamed = prompts_file is None and not (output.json or no_stream)
    events = generating(
        lm,
        prompts,
        strategy=strategy,
        max_tokens=length.max_tokens,
        stop=length.stop,
        seed=sampling.seed,
        ignore_end=ignore_end,
        compile=length.compile,
    )
    began = time.perf_counter()

    def tell() -> None:
        if streamed:
            print(flush=True)
        output.say(summary(rows, time.perf_counter() - began))
        data = {"model": model, "strategy": str(sampling.expression()), "seed": sampling.seed}
        output.emit(_result(data, rows, several=prompts_file is not None), printed=streamed)

    with told_when_stopped(tell):
        collect(events, rows, stream=streamed)


def compared(model: str, prompts: list[str], compare: str, samples: int, sampling: Sampling, length: Length, output: Output) -> None:
    """The outputs of several strategies side by side. Raises ConfigError for what only one strategy can have."""
    if len(prompts) > 1 or sampling.expression() != "greedy" or length.stop or length.compile:
        raise ConfigError(
            "--compare takes one prompt, and no strategy, stop text or --compile beside it",
            hint='write settings inside: --compare "greedy; sample(temperature=0.8, top_p=0.9)"',
        )
    expressions = [part.strip() for part in compare.split(";") if part.strip()]
    if not expressions:
        raise ConfigError(f"--compare {compare!r} names no strategy", hint='--compare "greedy; sample(top_p=0.9)"')
    with output.working(f"loading {model}"):
        from isinglass.evaluation.strategies import comparing, tables
        from isinglass.generation.lm import load
        from isinglass.generation.loop import choose_strategy

        chosen = [choose_strategy(one, None) for one in expressions]  # a wrong one is known before the model is loaded
        lm = load(model, dtype=length.dtype)
    results = []
    for result in comparing(lm, prompts[0], chosen, n_samples=samples, max_tokens=length.max_tokens, seed=sampling.seed):
        results.append(replace(result, strategy=expressions[len(results)]))
        output.say(f"{results[-1].strategy}: {result.row()['tokens_per_second']:.1f} tokens per second")
    data = {"model": model, "prompt": prompts[0], "seed": sampling.seed, "strategies": [one.data() for one in results]}
    output.emit(Result(data, parts=tables(results, prompts[0])))


@contextmanager
def told_when_stopped(tell: Callable[[], None]) -> Iterator[None]:
    """Run `tell` at the end, also when Ctrl-C made the end: what is there is kept. An error says only itself."""
    try:
        yield
    except KeyboardInterrupt:
        tell()
        raise
    tell()


@dataclass
class Row:
    """What one prompt got so far."""

    prompt: str
    pieces: list[str] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    finish: str = "stopped"  # until its last event says why it ended
    first_token_seconds: float | None = None
    seconds: float = 0.0
    speculated: Speculated | None = None  # what became of the draft's tokens

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def add(self, event: TokenOut) -> None:
        """Take one token."""
        self.pieces.append(event.text)
        if event.finish != "end":  # the end token itself is no part of the text
            self.ids.append(event.id)
            self.log_probs.append(event.log_prob)
        self.finish = event.finish or self.finish
        self.first_token_seconds = event.seconds if self.first_token_seconds is None else self.first_token_seconds
        self.seconds = event.seconds
        if event.speculated is not None:
            self.speculated = event.speculated if self.speculated is None else self.speculated + event.speculated

    def data(self) -> dict[str, Any]:
        """For machines."""
        names = ("prompt", "text", "finish", "ids", "log_probs", "first_token_seconds", "seconds")
        return {name: getattr(self, name) for name in names} | {"speculated": _counts(self.speculated)}


def _counts(speculated: Speculated | None) -> dict[str, Any] | None:
    """For machines; None for other strategies than speculative."""
    if speculated is None:
        return None
    return {**asdict(speculated), "acceptance": speculated.acceptance, "tokens_per_pass": speculated.tokens_per_pass}


def collect(events: Iterable[TokenOut], rows: list[Row], *, stream: bool) -> None:
    """Take tokens as they come; `stream` prints each at once."""
    careful = stream and stdout_is_terminal()
    for event in events:
        rows[event.row].add(event)
        if stream and event.text:
            sys.stdout.write(harmless(event.text) if careful else event.text)
            sys.stdout.flush()


def harmless(text: str) -> str:
    """Text of a model as a terminal may show it: lines and tabs, but no control sequences."""
    return "".join(char if char in "\n\t" else visible(char) for char in text)


def summary(rows: list[Row], seconds: float) -> str:
    """One line about speed, what became of a draft's tokens, and the reason of the end."""
    n = sum(len(row.ids) for row in rows)
    first = min((row.first_token_seconds for row in rows if row.first_token_seconds is not None), default=0.0)
    after = max(row.seconds for row in rows) - first
    speed = f", {(n - len(rows)) / after:.1f} tokens per second after the first" if n > len(rows) and after > 0 else ""
    ended = f"; {_ENDS.get(rows[0].finish, 'stopped')}" if len(rows) == 1 else ""
    return f"{n:,} tokens in {duration(seconds)}, the first after {duration(first)}{speed}{_drafted(rows)}{ended}"


def _drafted(rows: list[Row]) -> str:
    """How the draft of speculative decoding fared; nothing for other strategies."""
    given = [row.speculated for row in rows if row.speculated is not None]
    if not given:
        return ""
    counts = reduce(add, given)
    share = f"{counts.accepted:,} of {counts.proposed:,} drafted tokens accepted ({counts.acceptance:.0%})"
    return f"; {share}, {counts.tokens_per_pass:.2f} tokens per pass"


def _prompts(prompt: str | None, file: Path | None) -> list[str]:
    """The prompt, or the lines of the file that hold something."""
    if (prompt is None) == (file is None):
        raise ConfigError("give either a PROMPT or --prompts-file, one of them", hint='isinglass generate smollm2 "Once upon a time"')
    if file is None:
        return [read_text(prompt or "")]
    lines = [line for line in read_file(file).splitlines() if line.strip()]
    if not lines:
        raise ConfigError(f"{str(file)!r} holds no prompt", hint="write one prompt per line")
    return lines


def _result(data: dict[str, Any], rows: list[Row], *, several: bool) -> Result:
    if not several:
        return Result({**data, **rows[0].data()}, text=rows[0].text)
    table = Table(
        [{"prompt": row.prompt, "text": row.text, "tokens": len(row.ids), "finish": row.finish} for row in rows], title="Continued"
    )
    return Result({**data, "generations": [row.data() for row in rows]}, parts=[table])
