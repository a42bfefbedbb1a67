"""How alike texts are: fingerprints of equal ones, shingles and their Jaccard similarity, MinHash to find pairs, and clusters of them."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from isinglass.core.errors import ConfigError, ExtraMissing

_WORD = re.compile(r"\w+")
HASHES = 128  # MinHash values of a text
_MISS = 0.01  # the most that a pair at the threshold may be overlooked
_NEIGHBOURS = 256  # texts of a band that one text is compared with, so that texts which share a template cannot make the search quadratic
_ODD = np.random.default_rng(1).integers(1 << 62, size=HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_CHUNK = 4096  # texts handed to MinHash at once


def fingerprint(text: str) -> bytes:
    """16 bytes that are equal for texts that are the same after NFC and with each run of whitespace as one space.

    >>> fingerprint("In the  beginning") == fingerprint("In the beginning ")
    True
    """
    return hashlib.blake2b(" ".join(unicodedata.normalize("NFC", text).split()).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower())


def shingles(text: str, size: int) -> frozenset[str]:
    """All runs of `size` words; a shorter text is one shingle, a text without words has none.

    >>> sorted(shingles("In the beginning God created", 4))
    ['in the beginning god', 'the beginning god created']
    """
    found = words(text)
    if len(found) <= size:
        return frozenset([" ".join(found)] if found else [])
    return frozenset(" ".join(found[at : at + size]) for at in range(len(found) - size + 1))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """|a and b| / |a or b|, 0 for two empty sets."""
    common = len(a & b)
    union = len(a) + len(b) - common
    return common / union if union else 0.0


def signatures(sets: Iterator[frozenset[str]]) -> np.ndarray:
    """MinHash values, `[texts, HASHES]` uint32: two texts agree in each column with a probability of their Jaccard similarity.

    Raises ExtraMissing without rensa. Source: Broder 1997, On the resemblance and containment of documents.
    """
    try:
        from rensa import RMinHash  # type: ignore[attr-defined] # a compiled module without stubs
    except ImportError:
        raise ExtraMissing("rensa", "data") from None
    parts = []
    while chunk := list(islice(sets, _CHUNK)):
        parts.append(np.array(RMinHash.digests_from_token_sets([list(one) for one in chunk], num_perm=HASHES, seed=1), dtype=np.uint32))
    return np.concatenate(parts) if parts else np.empty((0, HASHES), np.uint32)


def bands(threshold: float) -> tuple[int, int]:
    """(bands, rows): how the hashes are cut so that a pair at the threshold shares a whole band with a probability of 0.99 or more, and
    pairs below it as seldom as that allows. Source: 1 - (1 - s^rows)^bands, Leskovec et al., Mining of Massive Datasets, section 3.4.

    >>> bands(0.8)
    (21, 6)
    """
    fits = [rows for rows in range(1, HASHES + 1) if (1 - threshold**rows) ** (HASHES // rows) <= _MISS]
    return HASHES // max(fits), max(fits)


@dataclass(frozen=True)
class Match:
    """Text `second` is like the earlier text `first`; `similarity` is their exact Jaccard similarity."""

    first: int
    second: int
    similarity: float


@dataclass(frozen=True)
class Clusters:
    """`first[i]` is the first text of the cluster that text i is in (i itself when it is alone); `matches` are the pairs that made them."""

    first: tuple[int, ...]
    matches: tuple[Match, ...]


def clusters(texts: Sequence[str], *, threshold: float = 0.8, shingle: int = 5) -> Clusters:
    """Groups of texts that are linked by pairs of a Jaccard similarity of at least `threshold` over runs of `shingle` words.

    MinHash finds candidates, exact similarity decides. A pair at the threshold is found with a probability of 0.99 or more, and one text is
    compared with at most 256 others of a band. Raises ConfigError for a threshold outside 0.1 .. 1.

    >>> clusters(["a b c d e f", "x y z", "a b c d e f!"]).first
    (0, 1, 0)
    """
    if not 0.1 <= threshold <= 1:
        raise ConfigError(f"threshold = {threshold!r}, expected 0.1 to 1")
    forest, matches = _Forest(len(texts)), list[Match]()
    distinct = _distinct(texts, shingle, forest, matches)
    kept: dict[int, frozenset[str]] = {}
    for one, other in _candidates(signatures(shingles(texts[at], shingle) for at in distinct), threshold):
        a, b = distinct[one], distinct[other]
        if forest.root(a) == forest.root(b):
            continue
        for at in (a, b):
            kept[at] = kept.get(at) or shingles(texts[at], shingle)
        similarity = jaccard(kept[a], kept[b])
        if similarity >= threshold:
            forest.join(a, b)
            matches.append(Match(a, b, similarity))
    return Clusters(tuple(forest.root(at) for at in range(len(texts))), tuple(matches))


def _candidates(hashes: np.ndarray, threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs of rows, the smaller first, that share a band and whose share of equal hashes is not far below the threshold."""
    n_bands, rows = bands(threshold)
    # an estimate that lies four standard errors below the threshold needs no exact comparison
    plausible = HASHES * threshold - 4 * (HASHES * threshold * (1 - threshold)) ** 0.5
    for band in range(n_bands):
        for bucket in _buckets(hashes[:, band * rows : (band + 1) * rows]):
            for place in range(1, len(bucket)):
                others = bucket[max(0, place - _NEIGHBOURS) : place]
                agree = (hashes[others] == hashes[bucket[place]]).sum(axis=1)
                for other in others[agree >= plausible]:
                    yield int(other), int(bucket[place])


def _distinct(texts: Sequence[str], shingle: int, forest: _Forest, matches: list[Match]) -> list[int]:
    """The first text of each set of shingles; the others join it at once. Thousands of copies would otherwise fill one bucket."""
    first: dict[tuple[int, bytes], int] = {}
    for at, text in enumerate(texts):
        found = shingles(text, shingle)
        if found:
            key = (len(found), hashlib.blake2b("\n".join(sorted(found)).encode("utf-8", "surrogatepass"), digest_size=16).digest())
            if first.setdefault(key, at) != at:
                forest.join(first[key], at)
                matches.append(Match(first[key], at, 1.0))
    return sorted(first.values())


def _buckets(keys: np.ndarray) -> Iterator[np.ndarray]:
    """The rows that are equal in all columns, as ascending row numbers, where there are two or more."""
    # a row as one number sorts ten times as fast; that two rows get the same number costs a comparison, not a wrong result
    joined = (keys.astype(np.uint64) * _ODD[: keys.shape[1]]).sum(axis=1, dtype=np.uint64)
    order = np.argsort(joined, kind="stable")
    edges = np.concatenate([[0], np.flatnonzero(np.diff(joined[order])) + 1, [len(order)]])
    for run in np.flatnonzero(np.diff(edges) > 1):
        yield order[edges[run] : edges[run + 1]]


class _Forest:
    """Union-find (Tarjan 1975) whose roots are the smallest members."""

    def __init__(self, size: int) -> None:
        self.parent = list(range(size))

    def root(self, at: int) -> int:
        while self.parent[at] != at:
            self.parent[at] = self.parent[self.parent[at]]
            at = self.parent[at]
        return at

    def join(self, a: int, b: int) -> None:
        low, high = sorted((self.root(a), self.root(b)))
        self.parent[high] = low
