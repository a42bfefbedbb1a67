"""`Verb`: one thing the lab can do. `verbs/NAME.py` holds it; the folder is the registry."""

from __future__ import annotations

import importlib
import pkgutil
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from isinglass.core.config import Config, build
from isinglass.core.errors import unknown
from isinglass.web import verbs

if TYPE_CHECKING:
    from isinglass.web.bench import Bench
    from isinglass.web.events import Event


class Verb(Config):
    """A request with its arguments as fields. A module of `verbs/` holds one subclass, under the name `Request`.

    The module is imported by the server too, which only checks the arguments: what is heavy is imported inside `run`.
    """

    closes: ClassVar[bool] = False  # stopped between two events, by closing what `run` gave, which keeps what is done

    @property
    @abstractmethod
    def python(self) -> str:
        """Lines of Python that make the same result."""

    @property
    @abstractmethod
    def command(self) -> str:
        """The command line that makes the same result; empty where there is none."""

    @abstractmethod
    def run(self, bench: Bench) -> Iterator[Event]:
        """Do the work. Each event that is yielded lets other jobs have a turn, so long work yields often."""


def names() -> list[str]:
    """All verbs."""
    return sorted(module.name for module in pkgutil.iter_modules(verbs.__path__))


def request(name: str, arguments: Mapping[str, Any]) -> Verb:
    """The verb of that name with its arguments. ConfigError for an unknown verb or argument, and for a value of the wrong kind."""
    if name not in names():
        raise unknown("verb of the lab", name, names())
    return build(importlib.import_module(f"isinglass.web.verbs.{name}").Request, arguments, where=name)
