"""Topics: the modules of a folder, each of which says what there is to check; the folder is the list of them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from types import ModuleType

from isinglass.core.errors import unknown


def topics(package: str) -> list[str]:
    """The names of the topics, which are the files of the package's folder."""
    folder = importlib.import_module(package)
    return sorted(found.name for found in pkgutil.iter_modules(folder.__path__))


def chosen(package: str, only: Sequence[str] = ()) -> Iterator[tuple[str, ModuleType]]:
    """The named topics, or all. Raises ConfigError for an unknown one, before the first is given."""
    known = topics(package)
    for name in only:
        if name not in known:
            raise unknown("topic", name, known)
    for name in only or known:
        yield name, importlib.import_module(f"{package}.{name}")
