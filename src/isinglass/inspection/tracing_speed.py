"""What looking inside costs: operators that are dispatched, and seconds beside a plain pass, in turn."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from isinglass.inspection.reading import Reading
from isinglass.inspection.trace import Recorder, traced
from isinglass.nn.tap import Tap


class ReferenceKernel:
    """A tap that keeps nothing: that it asks for the attention weights makes every layer compute them, as the definition does."""

    def wants(self, name: str) -> bool:
        return name.endswith("attention.weights")

    def __call__(self, name: str, x: Tensor) -> Tensor:
        return x


class Operators(TorchDispatchMode):
    """Counts the operators that torch dispatches, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))


def operators(reading: Reading, tap: Tap | None) -> Counter[str]:
    """The operators of one pass."""
    with torch.inference_mode(), Operators() as seen:
        reading.run(tap)
    return seen.counts


@dataclass(frozen=True)
class TracingTime:
    """Seconds of each round, by what was done; every round does all of them, in turn."""

    n_tokens: int
    seconds: dict[str, list[float]]
    operators: dict[str, int]
    kept_bytes: int

    def rows(self) -> list[dict[str, Any]]:
        reference = self.seconds["pass, reference kernel"]
        return [
            {
                "what": name,
                "median_seconds": statistics.median(seconds),
                "beside the reference": statistics.median(own / plain for own, plain in zip(seconds, reference, strict=True)),
                "operators": self.operators.get(name),
            }
            for name, seconds in self.seconds.items()
        ]


def time_tracing(reading: Reading, rounds: int) -> Iterator[TracingTime]:
    """After each round what is known by then. The first pass of each kind is not timed."""
    work: dict[str, Callable[[], object]] = {
        "pass": lambda: _passed(reading, None),
        "pass, nothing wanted": lambda: _passed(reading, Recorder(())),
        "pass, reference kernel": lambda: _passed(reading, ReferenceKernel()),
        "trace of everything": lambda: traced(reading, taps=["*"]),
    }
    taps = {"pass": None, "pass, nothing wanted": Recorder(()), "pass, reference kernel": ReferenceKernel()}
    counted = {name: operators(reading, tap).total() for name, tap in taps.items()}
    recorder = Recorder(["*"])
    _passed(reading, recorder)
    kept = sum(tensor.nbytes for tensor in recorder.kept.values())
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, do in work.items():
            began = time.perf_counter()
            do()
            seconds[name].append(time.perf_counter() - began)
        yield TracingTime(max(reading.rows.lengths), {name: list(each) for name, each in seconds.items()}, counted, kept)


def _passed(reading: Reading, tap: Tap | None) -> None:
    with torch.inference_mode():
        reading.run(tap)
