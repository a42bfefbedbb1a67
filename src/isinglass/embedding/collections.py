"""The project's own texts for embeddings: twenty sentences of four topics, and words in two senses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from isinglass.core.config import read_toml
from isinglass.core.errors import ConfigError, unknown

FILE = Path(__file__).with_name("collections.toml")


@dataclass(frozen=True)
class Labelled:
    """Texts with a label each."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]


@cache
def _file() -> dict[str, Any]:
    return read_toml(FILE)


def topics() -> Labelled:
    """Five sentences each of technology, sports, food and weather."""
    pairs = [(text, topic) for topic, texts in _file()["topics"].items() for text in texts]
    return Labelled(tuple(text for text, _ in pairs), tuple(topic for _, topic in pairs))


def senses(word: str, file: Path | None = None) -> Labelled:
    """Sentences with a word, labelled by its sense: of the project's own (bank, apple), or of a TOML file with `[sense]` tables.

    Raises ConfigError for a word that has no sentences, a sentence without the word, and fewer than two senses or sentences of one.
    """
    if file is None:
        known: Mapping[str, Any] = _file()["senses"]
        if word.lower() not in known:
            raise unknown("word", word, known, more="give sentences of your own: --file senses.toml")
        tables = known[word.lower()]
    else:
        tables = read_toml(file)
    pairs = [(text, sense) for sense, table in tables.items() for text in _sentences(table, sense, file)]
    counts = {sense: [one for _, one in pairs].count(sense) for sense in tables}
    if len(counts) < 2 or min(counts.values()) < 2:
        raise ConfigError(f"{word!r} has {counts}, expected two senses with two sentences each at least", hint=_FORM)
    missing = [text for text, _ in pairs if word.lower() not in text.lower()]
    if missing:
        raise ConfigError(f"{word!r} does not stand in {missing[0]!r}")
    return Labelled(tuple(text for text, _ in pairs), tuple(sense for _, sense in pairs))


_FORM = 'a table for each sense: [river] sentences = ["...", "..."]'


def _sentences(table: Any, sense: str, file: Path | None) -> list[str]:
    found = table.get("sentences") if isinstance(table, dict) else None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ConfigError(f"{file}: {sense!r} has no list of sentences", hint=_FORM)
    return found
