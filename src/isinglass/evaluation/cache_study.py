"""Generation with the KV cache and without it, over lengths: seconds, arithmetic and bytes, each beside what theory says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from isinglass.core.errors import EngineError
from isinglass.evaluation.cache_work import cached_work, kv_bytes, uncached_work
from isinglass.evaluation.machine import Rates, measure_rates
from isinglass.generation.lm import LM
from isinglass.models.cache import new_cache
from isinglass.models.machine import timed
from isinglass.show.figure import Figure
from isinglass.show.marks.lines import lines
from isinglass.show.table import Table

_TRIES = 4


@dataclass(frozen=True)
class Cost:
    """What one more token takes: measured, and by theory (seconds at least, from counted work and this machine's speed)."""

    seconds: float
    least_seconds: float
    flops: int
    theory_flops: float


@dataclass(frozen=True)
class Measured:
    """One length of text. `same_token`: whether both ways choose the same next token."""

    length: int
    cached: Cost
    uncached: Cost
    cache_bytes: int
    theory_bytes: int
    same_token: bool

    def row(self) -> dict[str, Any]:
        """Everything, flat."""
        return {
            "length_tokens": self.length,
            "same_token": self.same_token,
            "with_cache_seconds": self.cached.seconds,
            "with_cache_least_seconds": self.cached.least_seconds,
            "without_cache_seconds": self.uncached.seconds,
            "without_cache_least_seconds": self.uncached.least_seconds,
            "times_faster": self.uncached.seconds / self.cached.seconds,
            "with_cache_flops": self.cached.flops,
            "with_cache_theory_flops": self.cached.theory_flops,
            "without_cache_flops": self.uncached.flops,
            "without_cache_theory_flops": self.uncached.theory_flops,
            "cache_bytes": self.cache_bytes,
            "cache_theory_bytes": self.theory_bytes,
        }


def studying(lm: LM, lengths: Sequence[int], *, seed: int = 0) -> Iterator[Measured]:
    """Yield the costs of one more token at each length of text, on random tokens. The lengths are checked before the first is measured.

    Raises EngineError for a length that leaves no room for the steps that are timed.
    """
    longest = lm.config.context_length - _TRIES
    if outside := [length for length in lengths if not 1 <= length <= longest]:
        raise EngineError(
            f"a length of {outside[0]!r} tokens, expected 1 to {longest}", hint=f"the context holds {lm.config.context_length}"
        )
    return _studying(lm, lengths, torch.Generator().manual_seed(seed))


def _studying(lm: LM, lengths: Sequence[int], generator: torch.Generator) -> Iterator[Measured]:
    rates = measure_rates(lm.decoder.embed_tokens.weight.dtype, lm.device)
    for length in lengths:
        ids = torch.randint(0, lm.config.vocab_size, (1, length), generator=generator).to(lm.device)
        yield _measure(lm, ids, rates)


@torch.inference_mode()
def _measure(lm: LM, ids: torch.Tensor, rates: Rates) -> Measured:
    """With the cache: the last token alone, the others read before. Without: all of them."""
    model, length = lm.packed(), ids.shape[1]
    cache = new_cache(model, batch=1, capacity=length + _TRIES)
    if length > 1:
        model(ids[:, :-1], cache=cache, rows="last")
    steps: list[torch.Tensor] = []

    def step() -> torch.Tensor:
        steps.append(model(ids[:, -1:], cache=cache))
        return steps[-1]

    whole = model(ids, rows="last")
    cached_flops = _counted(step)  # also warms up
    uncached_flops = _counted(lambda: model(ids, rows="last"))
    predicted_bytes, real_bytes = kv_bytes(lm, length)
    return Measured(
        length,
        _cost(step, cached_flops, cached_work(lm, length), rates),
        _cost(lambda: model(ids, rows="last"), uncached_flops, uncached_work(lm, length), rates),
        real_bytes,
        predicted_bytes,
        bool(steps[0][0, -1].argmax() == whole[0, -1].argmax()),
    )


def _cost(run: Callable[[], torch.Tensor], flops: int, work: tuple[float, float], rates: Rates) -> Cost:
    return Cost(min(timed(run) for _ in range(_TRIES)), rates.seconds(*work), flops, work[0])


def _counted(run: Callable[[], torch.Tensor]) -> int:
    """FLOPs of the matrix products that were really made, counted as they run."""
    counter = FlopCounterMode(display=False)
    # torch does not count its fused attention on the CPU; written out, its two products are counted like all others
    with counter, sdpa_kernel(SDPBackend.MATH):
        run()
    return counter.get_total_flops()


def tables(results: Sequence[Measured]) -> list[Table]:
    """Time; arithmetic and memory."""
    rows = [one.row() for one in results]
    time = ["length_tokens", *(name for name in rows[0] if name.endswith("_seconds")), "times_faster"]
    work = ["length_tokens", *(name for name in rows[0] if name.endswith(("_flops", "_bytes")))]
    least = "least: what the counted work takes at this machine's speed of arithmetic, or of reading memory, whichever is longer"
    counted = "without the cache the plain kernel multiplies hidden pairs as well, which theory leaves out"
    units = {"length_tokens": "tokens"}
    return [
        Table(rows, title="Seconds for one more token", columns=time, units=units, notes=[least]),
        Table(rows, title="FLOPs for one more token, and bytes held", columns=work, units=units, notes=[counted]),
    ]


def figures(results: Sequence[Measured]) -> list[Figure]:
    """Time against length and FLOPs against length, on log axes, theory dashed."""
    lengths = [one.length for one in results]

    def curves(cached: list[float], uncached: list[float], word: str) -> dict[str, tuple[list[int], list[float]]]:
        return {f"without cache{word}": (lengths, uncached), f"with cache{word}": (lengths, cached)}

    time = lines(
        curves([1000 * one.cached.seconds for one in results], [1000 * one.uncached.seconds for one in results], ""),
        theory=curves(
            [1000 * one.cached.least_seconds for one in results], [1000 * one.uncached.least_seconds for one in results], ", at least"
        ),
        title="Time for one more token", x="text so far (tokens)", y="time per token (ms)", x_scale="log", y_scale="log",
    )  # fmt: skip
    flops = lines(
        curves([one.cached.flops / 1e9 for one in results], [one.uncached.flops / 1e9 for one in results], ""),
        theory=curves(
            [one.cached.theory_flops / 1e9 for one in results], [one.uncached.theory_flops / 1e9 for one in results], ", theory"
        ),
        title="Arithmetic for one more token", x="text so far (tokens)", y="GFLOP per token", x_scale="log", y_scale="log",
    )  # fmt: skip
    return [time, flops]
