"""Station: one stop of the tour, and the list of stops, which is the folder `stations/`.

A file there is a stop: it defines `ORDER`, a number that says when it comes, and `station(lm) -> Station`, which may take settings by name.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from isinglass.core.errors import unknown
from isinglass.generation.lm import LM
from isinglass.show.showable import Showable


@dataclass(frozen=True)
class Station:
    """What one stop shows. `text` says in a few sentences what is seen and why it matters; every number in it comes from this run.

    `items` are shown everywhere, `more` in the report only; `facts` are the numbers again, by name, for programs.
    """

    title: str
    text: str
    items: Sequence[Showable]
    facts: Mapping[str, Any]
    more: Sequence[Showable] = ()


@dataclass(frozen=True)
class Entered:
    """A stop begins: its name, and the how manyth of how many it is."""

    name: str
    number: int
    total: int


@dataclass(frozen=True)
class Visited:
    """A stop is done: its name, what it showed, and how long it took."""

    name: str
    station: Station
    seconds: float


def stations() -> dict[str, Callable[..., Station]]:
    """Name -> function of every stop, in order."""
    folder = importlib.import_module("isinglass.studies.tour.stations")
    modules = [importlib.import_module(f"{folder.__name__}.{found.name}") for found in pkgutil.iter_modules(folder.__path__)]
    return {module.__name__.rpartition(".")[2]: module.station for module in sorted(modules, key=lambda module: module.ORDER)}


def chosen(only: Sequence[str] = ()) -> dict[str, Callable[..., Station]]:
    """The stops of these names, all of them when none is named. Raises ConfigError for a name that is no stop."""
    known = stations()
    for name in only:
        if name not in known:
            raise unknown("station", name, known)
    return {name: station for name, station in known.items() if not only or name in only}


def touring(
    lm: LM, only: Sequence[str] = (), settings: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> Iterator[Entered | Visited]:
    """Visit every stop, or those named, with this model; an event when one begins and when it is done.

    `settings` are a stop's own, such as {"training": {"steps": 20}}.
    """
    stops = chosen(only)
    for number, (name, station) in enumerate(stops.items(), start=1):
        yield Entered(name, number, len(stops))
        began = time.perf_counter()
        shown = station(lm, **settings.get(name, {}))
        yield Visited(name, shown, time.perf_counter() - began)


def command(verb: str, *words: str) -> str:
    """A command line that can be pasted into a shell.

    >>> command("predict", "smollm2", "The capital of France is")
    "isinglass predict smollm2 'The capital of France is'"
    """
    import shlex

    return shlex.join(["isinglass", *verb.split(), *words])


def python_command(expression: str) -> str:
    """The same for what has no verb: a line of Python with `import isinglass as ig` before it."""
    import shlex

    return f"python -c {shlex.quote(f'import isinglass as ig; {expression}')}"


def source(lm: LM) -> str:
    """The name or path that loads this model again."""
    return str(lm.card.get("source", ""))
