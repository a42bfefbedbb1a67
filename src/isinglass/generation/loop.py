"""The generation loop: one pass over the prompts, then one step per token, as an iterator of events.

A batch of unequal prompts is padded on the left; padding is told to attention through the slots, so it changes no result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast, overload

import torch

from isinglass.core.errors import EngineError
from isinglass.generation.decoding import Job, Procedure
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt, as_list, encode_prompts, is_single, pad_left
from isinglass.generation.results import Generation, TokenOut
from isinglass.generation.sampling import Chooser, Strategy, choose_strategy
from isinglass.generation.writer import Writer
from isinglass.nn.attention.slots import Slots


def generating(
    lm: LM,
    prompts: Prompt | Sequence[Prompt],
    *,
    strategy: str | Strategy = "greedy",
    max_tokens: int = 128,
    stop: Sequence[str] = (),
    seed: int | Sequence[int] = 0,
    temperature: float | None = None,
    ignore_end: bool = False,
    compile: bool = False,
) -> Iterator[TokenOut]:
    """Yield each token as it is chosen, rows in turn. The arguments are checked before the first step.

    With a list of seeds each row is what its prompt alone gives with its seed.
    Raises EngineError: an empty prompt, one longer than the context, max_tokens < 1, seeds of another number than prompts,
    `compile` with a strategy that cannot use it; VariantError: an unknown strategy or filter value.
    """
    chooser = choose_strategy(strategy, temperature)
    prompt_ids = encode_prompts(lm, prompts, max_tokens)
    stops = [stop] if isinstance(stop, str) else list(stop)
    ends = frozenset() if ignore_end else lm.end_ids
    writers = [Writer(lm, number, max_tokens, stops, ends) for number in range(len(prompt_ids))]
    if not isinstance(seed, int) and len(seed) != len(prompt_ids):
        raise EngineError(f"{len(seed)} seeds for {len(prompt_ids)} prompts, expected one for each, or one for all")
    job = Job(lm, prompt_ids, writers, seed)
    if isinstance(chooser, Chooser):
        return _steps(job, chooser, compile)
    if compile:
        raise EngineError(f"compile=True beside strategy {str(strategy)!r}, whose passes have many shapes", hint="leave compile out")
    return cast(Procedure, chooser).decode(job)


def _steps(job: Job, chooser: Chooser, compile: bool) -> Iterator[TokenOut]:
    """Forward, choose, emit, until every row has finished."""
    lm, writers, context = job.lm, job.writers, job.lm.decoder.config.context_length
    # the context is each row's own: padding takes room in the cache, but none of a shorter row's context
    capacity = job.longest + max(min(writers[0].max_tokens, context - len(ids)) for ids in job.prompt_ids)
    model, cache = lm.engine(batch=len(writers), capacity=capacity, compile=compile)
    rows = job.rows()
    ids, slots = pad_left(job.prompt_ids, lm.device)
    while True:
        with torch.inference_mode():
            logits = model(ids, slots=slots, cache=cache, rows="last")[:, -1].float().cpu()
            log_total = logits.logsumexp(dim=-1).tolist()
        chosen = chooser.choose(logits, rows)
        for row, (writer, id) in enumerate(zip(writers, chosen, strict=True)):
            rows[row].ids.append(id)
            if writer.finish is None:
                log_prob = float(logits[row, id]) - log_total[row]
                full = len(rows[row].ids) > context
                yield writer.write(id, log_prob, job.seconds(), full)
        if all(writer.finish for writer in writers):
            return
        ids = torch.tensor(chosen, device=lm.device)[:, None]
        # rows that have finished step along at the last position until the others are done
        slots = Slots((slots.position[:, -1:] + 1).clamp(max=context - 1))


@overload
def generate(lm: LM, prompt: str, **options: Any) -> Generation: ...  # pyright: ignore[reportOverlappingOverload] - a str is a sequence, too
@overload
def generate(lm: LM, prompt: Sequence[int], **options: Any) -> Generation: ...
@overload
def generate(lm: LM, prompt: Sequence[Prompt], **options: Any) -> list[Generation]: ...
def generate(lm: LM, prompt: Prompt | Sequence[Prompt], **options: Any) -> Generation | list[Generation]:
    """Continue a prompt, or each of a list of prompts; options as `generating`. One prompt gives a `Generation`, a list gives a list.

    Batch mates do not change a row: each has its own random stream from (seed, row).

    >>> import isinglass as ig
    >>> ig.generate(ig.load("smollm2"), "The capital of France is", max_tokens=1).text
    ' Paris'
    """
    prompts = as_list(prompt)
    events: list[list[TokenOut]] = [[] for _ in prompts]
    for event in generating(lm, prompts, **options):
        events[event.row].append(event)
    results = [Generation.of(lm.encode(one), row) for one, row in zip(prompts, events, strict=True)]
    return results[0] if is_single(prompt) else results
