"""Mixing sources by tokens: a share is a share of tokens, so that a source of long texts does not drown the others."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from isinglass.core.errors import ConfigError, DataError, unknown
from isinglass.core.runtime import derive_seed
from isinglass.data.records import Record
from isinglass.show.table import Table


@dataclass(frozen=True)
class Mixed:
    """A record of the mixture, the source it is from, its tokens, and how often its source had been used up before (0: never)."""

    record: Record
    source: str
    n_tokens: int
    epoch: int


@dataclass
class _Stream:
    """The records of a source in the order of a seed, over and over, with how many tokens it has given."""

    name: str
    records: Sequence[Record]
    share: float
    seed: int
    given: int = 0
    at: int = 0
    order: list[int] = field(default_factory=list)

    def next(self) -> tuple[Record, int]:
        """The next record and the epoch it belongs to."""
        epoch, place = divmod(self.at, len(self.records))
        if place == 0:
            self.order = list(range(len(self.records)))
            random.Random(derive_seed(self.seed, self.name, epoch)).shuffle(self.order)
        self.at += 1
        return self.records[self.order[place]], epoch


def mix(
    sources: Mapping[str, Sequence[Record]],
    shares: Mapping[str, float],
    *,
    count: Callable[[str], int],
    tokens: int | None = None,
    seed: int = 0,
    text_field: str = "text",
    at_end: Literal["stop", "repeat"] = "stop",
) -> Iterator[Mixed]:
    """Records of several sources, mixed so that each source has its share of the tokens.

    The next record always comes from the source that lacks most of its share, so at every moment no source is over its share by more than
    its last record (of two sources, none is under it by more either). `count` counts the tokens of a text, as `tokenizer.count` does.
    Each source is shuffled by `seed`. It ends at `tokens` tokens, or with None when a source is used up; `at_end="repeat"` begins a used-up
    source anew, in another order, and needs `tokens`. Shares are divided by their sum.

    Raises ConfigError for shares and sources that do not match, DataError for a source without tokens.

    >>> sources = {"a": [Record({"text": "x" * 10}, "a")] * 9, "b": [Record({"text": "y" * 5}, "b")] * 9}
    >>> [mixed.source for mixed in mix(sources, {"a": 0.5, "b": 0.5}, count=len, tokens=40)]
    ['a', 'b', 'b', 'a', 'b', 'b']
    """
    if at_end not in ("stop", "repeat"):
        raise unknown("at_end", at_end, ("stop", "repeat"))
    if at_end == "repeat" and tokens is None:
        raise ConfigError("at_end = 'repeat' without tokens would never end", hint="tokens=1_000_000")
    return _mixed(_streams(sources, shares, seed), count, tokens, text_field, at_end)


def realised(mixture: Iterable[Mixed], shares: Mapping[str, float]) -> Table:
    """What became of the shares: tokens, records and epochs of each source, its share as wanted and as it is."""
    tokens, records, epochs = dict.fromkeys(shares, 0), dict.fromkeys(shares, 0), dict.fromkeys(shares, 0)
    for mixed in mixture:
        tokens[mixed.source] += mixed.n_tokens
        records[mixed.source] += 1
        epochs[mixed.source] = mixed.epoch + 1
    total, wanted = sum(tokens.values()) or 1, sum(shares.values())
    rows = [
        {
            "source": name, "records": records[name], "tokens": tokens[name], "epochs": epochs[name],
            "share wanted": share / wanted, "share": tokens[name] / total,
        }
        for name, share in shares.items()
    ]  # fmt: skip
    return Table(rows, title="The mixture, by tokens", units={"share wanted": "ratio", "share": "ratio"})


def _streams(sources: Mapping[str, Sequence[Record]], shares: Mapping[str, float], seed: int) -> list[_Stream]:
    if set(sources) != set(shares) or not shares:
        raise ConfigError(
            f"sources {', '.join(sources) or 'none'}, but shares of {', '.join(shares) or 'none'}: expected one share for each"
        )
    for name, share in shares.items():
        if not 0 < share < float("inf"):
            raise ConfigError(f"the share of {name!r} is {share!r}, expected more than 0")
        if not sources[name]:
            raise DataError(f"source {name!r} holds no records")
    total = sum(shares.values())
    return [_Stream(name, sources[name], share / total, seed) for name, share in shares.items()]


def _mixed(streams: Sequence[_Stream], count: Callable[[str], int], tokens: int | None, text_field: str, at_end: str) -> Iterator[Mixed]:
    total = 0
    while tokens is None or total < tokens:
        stream = max(streams, key=lambda one: one.share * total - one.given)
        if at_end == "stop" and stream.at == len(stream.records):
            return
        if stream.at and stream.at % len(stream.records) == 0 and stream.given == 0:
            raise DataError(f"source {stream.name!r} holds no tokens")
        record, epoch = stream.next()
        n_tokens = count(record.string(text_field))
        stream.given += n_tokens
        total += n_tokens
        yield Mixed(record, stream.name, n_tokens, epoch)
