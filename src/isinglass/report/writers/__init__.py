"""Formats of documents: each file of this folder writes one, and says in `SUFFIX` how its files end."""

from pathlib import Path

from isinglass.core import errors
from isinglass.core.variants import Family
from isinglass.report.writer import Writer

# not called `family`: these are no variants of a model, so they have no cards
writers: Family[Writer] = Family("isinglass.report.writers", "isinglass.report.writer:Writer")


def writer_for(path: Path) -> Writer:
    """The writer for the suffix of `path`.

    Raises ConfigError when there is none.
    """
    by_suffix = {writers.module(name).SUFFIX: name for name in writers.names()}
    name = by_suffix.get(path.suffix.lower())
    if name is None:
        raise errors.unknown("document format", path.suffix, by_suffix, where=f"{str(path)!r}")
    return writers.resolve(name)
