"""Generation with and without the KV cache: the same tokens, the time of each, and what arithmetic and memory predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from isinglass.core import units
from isinglass.evaluation.cache_work import cached_work, kv_bytes, uncached_work
from isinglass.evaluation.machine import Rates, measure_rates
from isinglass.generation.lm import LM
from isinglass.generation.loop import generating
from isinglass.models.machine import timed
from isinglass.show.figure import Figure
from isinglass.show.marks.lines import lines
from isinglass.show.table import Table
from isinglass.studies.tour.station import Station, command, source

ORDER = 40
PROMPT = "The fire in the stove"
LONGEST = 160  # tokens
_STEP = 20  # tokens between two lengths that are timed
_TRIES, _ENOUGH_SECONDS = 3, 1.0


@dataclass(frozen=True)
class Measured:
    """Seconds for one more token at each text length, and whether both ways chose the same tokens."""

    lengths: list[int]
    cached: list[float]
    uncached: list[float]
    n_tokens: int
    same_tokens: bool


@torch.inference_mode()
def station(lm: LM) -> Station:
    longest = min(LONGEST, lm.config.context_length)
    before = measure_rates(lm.decoder.embed_tokens.weight.dtype, lm.device)
    found = measure(lm, longest)
    rates = before.best(measure_rates(lm.decoder.embed_tokens.weight.dtype, lm.device))
    predicted = {
        "cached": [rates.seconds(*cached_work(lm, length)) for length in found.lengths],
        "uncached": [rates.seconds(*uncached_work(lm, length)) for length in found.lengths],
    }
    predicted_bytes, real_bytes = kv_bytes(lm, longest)
    last = found.lengths[-1]
    text = (
        f"With the cache a step computes one token and reads the keys and values of the others; without it every step computes the whole "
        f"text again. {_sameness(found)} At {last} tokens one more takes {units.duration(found.cached[-1])} with the cache and "
        f"{units.duration(found.uncached[-1])} without: {found.uncached[-1] / found.cached[-1]:.1f} times as long. The price is memory: "
        f"{predicted_bytes:,} bytes predicted for {longest} tokens, {real_bytes:,} bytes in the cache's tensors."
    )
    facts = {
        "same_tokens": found.same_tokens, "n_tokens": found.n_tokens, "lengths": found.lengths,
        "cached_seconds": found.cached, "uncached_seconds": found.uncached,
        "cached_predicted_seconds": predicted["cached"], "uncached_predicted_seconds": predicted["uncached"],
        "flops_per_second": rates.flops_per_second, "bytes_per_second": rates.bytes_per_second,
        "kv_bytes_predicted": predicted_bytes, "kv_bytes_real": real_bytes,
    }  # fmt: skip
    return Station("Why there is a KV cache", text, (_figure(lm, found, predicted, rates),), facts, more=(_table(lm, found, predicted),))


def measure(lm: LM, longest: int) -> Measured:
    """Greedy generation up to `longest` tokens with the cache, then the same tokens from whole passes, timed at some lengths."""
    prompt = lm.encode(PROMPT)[: longest // 2]
    n_tokens = longest - len(prompt)
    events = list(generating(lm, [prompt], max_tokens=n_tokens, ignore_end=True))
    ids = prompt + [event.id for event in events]
    steps = {len(prompt) + place: event.seconds - events[place - 1].seconds for place, event in enumerate(events) if place}
    lengths = [length for length in range(_STEP, longest, _STEP) if length in steps]
    # the fastest of the steps around each length, and of a few passes: whatever else the machine does only adds time
    cached = [min(steps[at] for at in steps if abs(at - length) <= _STEP // 2) for length in lengths]
    uncached = [_whole_pass_seconds(lm, ids[:length]) for length in lengths]
    # one pass over everything chooses at each place what a whole pass up to that place would: attention is causal
    chosen = lm.packed()(torch.tensor([ids[:-1]], device=lm.device)).argmax(dim=-1)[0].tolist()
    return Measured(lengths, cached, uncached, n_tokens, chosen[len(prompt) - 1 :] == ids[len(prompt) :])


def _whole_pass_seconds(lm: LM, ids: Sequence[int]) -> float:
    """The fastest of a few passes; one that took long is not repeated."""
    model, batch = lm.packed(), torch.tensor([list(ids)], device=lm.device)
    seconds: list[float] = []
    while len(seconds) < _TRIES and sum(seconds) < _ENOUGH_SECONDS:
        seconds.append(timed(lambda: model(batch, rows="last")))
    return min(seconds)


def _sameness(found: Measured) -> str:
    if found.same_tokens:
        return f"All {found.n_tokens} tokens chosen with the cache are also chosen without it."
    return f"Of the {found.n_tokens} tokens some differ between the two ways, which should not be."


def _figure(lm: LM, found: Measured, predicted: dict[str, list[float]], rates: Rates) -> Figure:
    def milliseconds(seconds: list[float]) -> tuple[list[int], list[float]]:
        return found.lengths, [1000 * value for value in seconds]

    return lines(
        {"without cache": milliseconds(found.uncached), "with cache": milliseconds(found.cached)},
        theory={"without, at least": milliseconds(predicted["uncached"]), "with, at least": milliseconds(predicted["cached"])},
        title="Time for one more token, against the length of the text",
        x="text so far (tokens)", y="time per token (ms)", command=command("tour", "--model", source(lm), "--only", "kv_cache"),
        notes=(
            f"measured in this run: a matrix product runs at {rates.flops_per_second / 1e9:.0f} GFLOP/s, memory is read at "
            f"{rates.bytes_per_second / 1e9:.1f} GB/s",
            "at least: what the counted FLOPs take at that rate, or the bytes of weights and cache at that bandwidth, whichever is longer",
        ),
    )  # fmt: skip


def _table(lm: LM, found: Measured, predicted: dict[str, list[float]]) -> Table:
    rows = [
        {
            "length_tokens": length,
            "without_cache_seconds": found.uncached[at],
            "at_least_seconds": predicted["uncached"][at],
            "with_cache_seconds": found.cached[at],
            "at_least_with_cache_seconds": predicted["cached"][at],
            "times_faster": found.uncached[at] / found.cached[at],
        }
        for at, length in enumerate(found.lengths)
    ]
    title = "Measured beside predicted, per token"
    return Table(rows, title=title, units={"length_tokens": "tokens"}, command=command("tour", "--model", source(lm), "--only", "kv_cache"))
