"""Station: one stop of the tour, and the list of stops, which is the folder `stations/`.

A file there is a stop: it defines `ORDER`, a number that says when it comes, and `station(lm) -> Station`.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isinglass.generation.lm import LM
from isinglass.show.showable import Showable


@dataclass(frozen=True)
class Station:
    """What one stop shows. `text` says in a few sentences what is seen and why it matters; every number in it comes from this run.

    `facts` are those numbers again, by name, for programs.
    """

    title: str
    text: str
    items: Sequence[Showable]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Visited:
    """A stop that is done: its name, what it showed, and how long it took."""

    name: str
    station: Station
    seconds: float


def stations() -> dict[str, Callable[[LM], Station]]:
    """Name -> function of every stop, in order."""
    folder = importlib.import_module("isinglass.studies.tour.stations")
    modules = [importlib.import_module(f"{folder.__name__}.{found.name}") for found in pkgutil.iter_modules(folder.__path__)]
    return {module.__name__.rpartition(".")[2]: module.station for module in sorted(modules, key=lambda module: module.ORDER)}


def touring(lm: LM, stops: Mapping[str, Callable[[LM], Station]]) -> Iterator[Visited]:
    """Yield each stop when it is done."""
    for name, station in stops.items():
        began = time.perf_counter()
        shown = station(lm)
        yield Visited(name, shown, time.perf_counter() - began)


def command(verb: str, *words: str) -> str:
    """A command line that can be pasted into a shell.

    >>> command("predict", "smollm2", "The capital of France is")
    "isinglass predict smollm2 'The capital of France is'"
    """
    import shlex

    return shlex.join(["isinglass", *verb.split(), *words])


def source(lm: LM) -> str:
    """The name or path that loads this model again."""
    return str(lm.card.get("source", ""))
