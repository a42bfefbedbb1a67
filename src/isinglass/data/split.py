"""Splitting without leaks: equal texts, and clusters of near duplicates, are always on one side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from isinglass.core.errors import ConfigError
from isinglass.data.records import Record
from isinglass.data.similar import fingerprint

SHARES = {"train": 0.9, "validation": 0.05, "test": 0.05}


class Placed(NamedTuple):
    """A record and the side it is on."""

    side: str
    record: Record


def split(
    records: Sequence[Record],
    shares: Mapping[str, float] = SHARES,
    *,
    seed: int = 0,
    field: str = "text",
    clusters: Sequence[int] | None = None,
) -> Iterator[Placed]:
    """The side of each record, by a hash of its text: it does not depend on the order or on the other records, so a corpus that grows
    never moves a text from the test set to the training set.

    `shares` are the sides with their parts of the texts, which sum to 1; `clusters` says for each record the first of its cluster
    (`similar.clusters(texts).first`), and the whole cluster then goes where its first member goes. Shares hold on average: of n texts a
    side gets share * n, give or take a few times sqrt(n). Raises ConfigError for shares that do not sum to 1, or clusters of another
    number.

    >>> [placed.side for placed in split([Record({"text": text}, "") for text in ("one", "alpha", "one")], {"train": 0.5, "test": 0.5})]
    ['test', 'train', 'test']
    """
    check(shares)
    if clusters is not None and len(clusters) != len(records):
        raise ConfigError(f"clusters has {len(clusters):,} entries for {len(records):,} records")
    for at, record in enumerate(records):
        first = record if clusters is None else records[clusters[at]]
        yield Placed(side(first.string(field), shares, seed=seed), record)


def splitting(records: Iterable[Record], shares: Mapping[str, float] = SHARES, *, seed: int = 0, field: str = "text") -> Iterator[Placed]:
    """`split` without clusters for records that need not fit into memory."""
    check(shares)
    return (Placed(side(record.string(field), shares, seed=seed), record) for record in records)


def side(text: str, shares: Mapping[str, float], *, seed: int = 0) -> str:
    """The side of a text: where a hash of it, as a number in 0 .. 1, falls on the line that the shares cut up in their order."""
    digest = hashlib.blake2b(fingerprint(text), digest_size=8, key=str(seed).encode()).digest()
    point = int.from_bytes(digest, "little") / 2**64
    end = 0.0
    for name, share in shares.items():
        end += share
        if point < end and share:
            return name
    return [name for name, share in shares.items() if share][-1]  # rounding left the point past the last end


def check(shares: Mapping[str, float]) -> None:
    """Raises ConfigError unless the shares are parts that sum to 1."""
    if not shares or any(not share >= 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        given = ", ".join(f"{name}={share:g}" for name, share in shares.items()) or "none"
        raise ConfigError(f"shares {given}: expected parts that sum to 1", hint="train=0.9, validation=0.05, test=0.05")
