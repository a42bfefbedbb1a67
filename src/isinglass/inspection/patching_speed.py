"""Patching many at a time beside one whole pass for each cell: seconds and the largest difference, in one process, in turn."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from isinglass.generation.lm import LM
from isinglass.inspection.contrast import contrast
from isinglass.inspection.patching import Plan, by_definition, collected, patching, plan

# 16 tokens of SmolLM2 that differ from the second on, so that nearly every column has to be run
CLEAN = "When John and Mary went to the store, John gave a bottle of milk to"
CORRUPTED = "When Mary and Paul went to the store, Mary gave a bottle of milk to"
ANSWER, OTHER = " Mary", " Paul"


@dataclass(frozen=True)
class Round:
    """One measurement: all cells many at a time, then `naive_cells` of them one by one. `row` tells the largest difference as in the map.

    CPU seconds are of all threads, and do not count the time in which others had the machine.
    """

    what: str
    layers: int
    columns: int
    run_columns: int
    naive_cells: int
    seconds: float
    naive_seconds: float
    cpu_seconds: float
    naive_cpu_seconds: float
    largest_difference: float  # of what the question gets, in logits
    swing: float  # of the same from the corrupted to the clean run, which the map shows as 0 and 1

    @property
    def cells(self) -> int:
        return self.layers * self.columns

    def row(self) -> dict[str, Any]:
        """Naive times are scaled from the cells that were measured to all."""
        scale = self.cells / self.naive_cells
        return {
            "what": self.what,
            "map": f"{self.layers} x {self.columns}",
            "columns run": self.run_columns,
            "cells one by one": self.naive_cells,
            "together_seconds": self.seconds,
            "one_by_one_seconds": self.naive_seconds * scale,
            "times faster": self.naive_seconds * scale / self.seconds,
            "times less CPU": self.naive_cpu_seconds * scale / self.cpu_seconds,
            "off by": self.largest_difference / self.swing,
            "off by in logits": self.largest_difference,
        }


def compare_patching(lm: LM, what: str, *, sample: int | None, rounds: int, seed: int = 0) -> Iterator[Round]:
    """Measure in turn. `sample` cells are run one by one, other ones in each round; None runs all of them."""
    given = plan(contrast(lm, CLEAN, CORRUPTED, answer=ANSWER, other=OTHER), what)
    drawn = random.Random(seed)
    for _ in range(rounds):
        yield _round(given, sample, drawn)


def _round(given: Plan, sample: int | None, drawn: random.Random) -> Round:
    layers, columns = given.shape
    cells = [(layer, column) for layer in range(layers) for column in range(columns)]
    chosen = cells if sample is None else drawn.sample(cells, min(sample, len(cells)))
    began, cpu = time.perf_counter(), time.process_time()
    values = collected(given, patching(given)).values
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    into = given.given  # one clean pass for all cells, as a careful loop would have it
    began, cpu = time.perf_counter(), time.process_time()
    alone = [by_definition(given, into, layer, column) for layer, column in chosen]
    naive, naive_cpu = time.perf_counter() - began, time.process_time() - cpu
    worst = max(abs(one - float(values[cell])) for one, cell in zip(alone, chosen, strict=True))
    swing = abs(given.contrast.clean_value - given.contrast.corrupted_value)
    return Round(given.what, layers, columns, len(given.starts()), len(chosen), seconds, naive, used, naive_cpu, worst, swing)
