"""The generation loop: one pass over the prompts, then one step per token, as an iterator of events.

A batch of unequal prompts is padded on the left; padding is told to attention through the slots, so it changes no result.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import overload

import torch
from torch import Tensor

from isinglass.core.errors import EngineError
from isinglass.generation import strategies
from isinglass.generation.lm import LM
from isinglass.generation.results import Finish, Generation, Timings, TokenOut
from isinglass.generation.sampling import Row, Strategy
from isinglass.generation.stops import StopWatch
from isinglass.nn.attention.slots import Slots

Prompt = str | Sequence[int]


def generating(
    lm: LM,
    prompts: Prompt | Sequence[Prompt],
    *,
    strategy: str | Strategy = "greedy",
    max_tokens: int = 128,
    stop: Sequence[str] = (),
    seed: int = 0,
    temperature: float | None = None,
    ignore_end: bool = False,
    compile: bool = False,
) -> Iterator[TokenOut]:
    """Yield each token as it is chosen, rows in turn. The arguments are checked before the first step.

    Raises EngineError: an empty prompt, one longer than the context, max_tokens < 1; VariantError: an unknown strategy or filter value.
    """
    chooser = choose_strategy(strategy, temperature)
    prompt_ids = encode_prompts(lm, prompts, max_tokens)
    stops = [stop] if isinstance(stop, str) else list(stop)
    ends = frozenset() if ignore_end else lm.end_ids
    writers = [Writer(lm, number, max_tokens, stops, ends) for number in range(len(prompt_ids))]
    return _steps(lm, prompt_ids, chooser, writers, seed, compile)


def _steps(
    lm: LM, prompt_ids: list[list[int]], chooser: Strategy, writers: list[Writer], seed: int, compile: bool
) -> Iterator[TokenOut]:
    """Forward, choose, emit, until every row has finished."""
    began = time.perf_counter()
    longest = max(map(len, prompt_ids))
    capacity = min(longest + writers[0].max_tokens, lm.model.config.context_length)
    model, cache = lm.engine(batch=len(prompt_ids), capacity=capacity, compile=compile)
    rows = [Row.start(ids, seed, number) for number, ids in enumerate(prompt_ids)]
    ids, slots = pad_left(prompt_ids, lm.device)
    while True:
        with torch.inference_mode():
            logits = model(ids, slots=slots, cache=cache, rows="last")[:, -1].float().cpu()
            log_total = logits.logsumexp(dim=-1).tolist()
        chosen = chooser.choose(logits, rows)
        full = cache.length >= lm.model.config.context_length
        for row, (writer, id) in enumerate(zip(writers, chosen, strict=True)):
            rows[row].ids.append(id)
            if writer.finish is None:
                log_prob = float(logits[row, id]) - log_total[row]
                yield writer.write(id, log_prob, time.perf_counter() - began, full)
        if all(writer.finish for writer in writers):
            return
        ids = torch.tensor(chosen, device=lm.device)[:, None]
        slots = Slots(slots.position[:, -1:] + 1)


@overload
def generate(lm: LM, prompt: str, **options: object) -> Generation: ...
@overload
def generate(lm: LM, prompt: Sequence[str] | Sequence[int] | Sequence[Sequence[int]], **options: object) -> Generation | list[Generation]: ...
def generate(lm: LM, prompt: Prompt | Sequence[Prompt], **options) -> Generation | list[Generation]:  # noqa: ANN003
    """Continue a prompt, or each of a list of prompts; options as `generating`.

    Batch mates do not change a row: each has its own random stream from (seed, row).

    >>> import isinglass as ig
    >>> ig.generate(ig.load("smollm2"), "The capital of France is", max_tokens=1).text
    ' Paris'
    """
    single = isinstance(prompt, str) or (len(prompt) > 0 and isinstance(prompt[0], int))
    prompts = [prompt] if single else list(prompt)
    events: list[list[TokenOut]] = [[] for _ in prompts]
    for event in generating(lm, prompts, **options):
        events[event.row].append(event)
    results = [_collect(lm, one, row) for one, row in zip(prompts, events, strict=True)]
    return results[0] if single else results


def _collect(lm: LM, prompt: Prompt, events: list[TokenOut]) -> Generation:
    last = events[-1]
    kept = events[:-1] if last.finish == "end" else events
    return Generation(
        text="".join(event.text for event in events),
        ids=[event.id for event in kept],
        prompt_ids=lm.encode(prompt),
        finish=last.finish or "length",
        log_probs=[event.log_prob for event in kept],
        timings=Timings(events[0].seconds, last.seconds, len(events)),
    )


def choose_strategy(strategy: str | Strategy, temperature: float | None) -> Strategy:
    """The strategy object, with the keyword temperature put in; EngineError when it is given twice or means nothing."""
    chooser = strategies.family.resolve(strategy, where="strategy")
    if temperature is None:
        return chooser
    # build a sampler at that temperature first: it refuses a negative one with its own message
    strategies.family.module("sample").build(temperature=temperature)
    heated = chooser.with_temperature(temperature)
    if heated is None and temperature != 0:
        raise EngineError(
            f"temperature = {temperature!r} beside strategy {str(strategy)!r}, which has a temperature already or none at all",
            hint="give the temperature once: strategy='sample', temperature=0.8",
        )
    return heated or chooser


def encode_prompts(lm: LM, prompts: Prompt | Sequence[Prompt], max_tokens: int) -> list[list[int]]:
    """Ids of each prompt; EngineError for an empty one or one that leaves no room for a token."""
    if max_tokens < 1:
        raise EngineError(f"max_tokens = {max_tokens!r}, expected at least 1")
    if isinstance(prompts, str) or (len(prompts) > 0 and isinstance(prompts[0], int)):
        prompts = [prompts]  # type: ignore[list-item]
    if not prompts:
        raise EngineError("no prompts were given")
    encoded = [lm.encode(prompt) for prompt in prompts]  # type: ignore[arg-type]
    context = lm.model.config.context_length
    for number, ids in enumerate(encoded):
        if not ids:
            raise EngineError(f"prompt {number} is empty", hint="give at least one token to continue, for instance a space or a first word")
        if len(ids) > context:
            raise EngineError(f"prompt {number} has {len(ids)} tokens; the model's context holds {context}", hint="shorten the prompt")
    return encoded


def pad_left(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Slots]:
    """Rows of unequal length as one tensor; padding stands first, is not valid, and real tokens count from position 0."""
    longest = max(map(len, rows))
    padding = torch.tensor([longest - len(row) for row in rows], device=device)
    ids = torch.tensor([[0] * (longest - len(row)) + list(row) for row in rows], device=device)
    places = torch.arange(longest, device=device)
    position = (places[None] - padding[:, None]).clamp(min=0)
    ragged = bool((padding > 0).any())
    return ids, Slots(position, valid=places[None] >= padding[:, None] if ragged else None)


class Writer:
    """What one row has said: decodes ids as they come, watches for stop strings, and knows when the row is done."""

    def __init__(self, lm: LM, row: int, max_tokens: int, stops: Sequence[str], ends: frozenset[int]) -> None:
        self.row, self.max_tokens, self.ends = row, max_tokens, ends
        self.stream = lm.tokenizer.stream(skip_special=True)
        self.watch = StopWatch(stops)
        self.n_tokens = 0
        self.finish: Finish | None = None

    def write(self, id: int, log_prob: float, seconds: float, full: bool) -> TokenOut:
        """Take one id; the event to yield."""
        self.n_tokens += 1
        text = "" if id in self.ends else self.watch.feed(self.stream.feed(id))
        if id in self.ends:
            self.finish = "end"
        elif self.watch.hit is not None:
            self.finish = "stop"
        elif self.n_tokens >= self.max_tokens:
            self.finish = "length"
        elif full:
            self.finish = "context"
        if self.finish is not None:
            text += self.watch.feed(self.stream.finish()) + self.watch.finish()
            self.finish = "stop" if self.watch.hit is not None and self.finish != "end" else self.finish
        return TokenOut(self.row, id, text, log_prob, seconds, self.finish)
