"""The substrings that repeat: what Unigram begins with.

Substrings of one length are grouped by what they are, and each group is split by its next character into those that are one longer.
That visits the inner nodes of the suffix tree level by level, in numpy, without building it. A substring is a candidate when it occurs
at least twice and branches: different characters, or the end of a word, come after it. One that does not branch is always part of a
longer one.

The end of a word branches by itself, because no piece reaches beyond it. SentencePiece looks for substrings in whole sentences instead,
where the space after a word is a character like any other: a word that is always followed by a space does not branch, and is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: The most characters of a piece, as in SentencePiece.
LONGEST = 16


@dataclass(frozen=True)
class Spelling:
    """The distinct words as one text, with a border behind each; arrays are "position"."""

    text: str
    characters: Ints  # the number of each character in `alphabet`; the border is one more than all
    offset: Ints  # from the start of the word; the border's is the length of the word
    word: Ints  # the number of the word
    counts: Floats  # "word": how often it occurs
    alphabet: list[str]

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Spelling:
        """From how often each word occurs; float64 holds counts up to 2**53 exactly, and the nearest number beyond."""
        lengths = np.array([len(word) + 1 for word in counts])
        text = "\0".join(counts) + "\0"
        codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.int64)
        ends = np.cumsum(lengths) - 1
        inside = np.ones(len(codes), bool)
        inside[ends] = False
        known, numbers = np.unique(codes[inside], return_inverse=True)
        characters = np.full(len(codes), len(known))
        characters[inside] = numbers
        offset = np.arange(len(codes)) - np.repeat(ends - lengths + 1, lengths)
        word = np.repeat(np.arange(len(lengths)), lengths)
        weights = np.array([float(count) for count in counts.values()])
        return cls(text, characters, offset, word, weights, [chr(code) for code in known])


@dataclass(frozen=True)
class Candidates:
    """Pieces as substrings of `spelling.text`: all characters first, in order of code point, then the others by frequency x length."""

    spelling: Spelling
    place: Ints
    length: Ints
    frequency: Floats
    standing: NDArray[np.int32]  # "position LONGEST": the piece of that many characters (less one) which stands there, or -1

    def pieces(self) -> list[str]:
        """The pieces spelled out."""
        text = self.spelling.text
        return [text[at : at + length] for at, length in zip(self.place.tolist(), self.length.tolist(), strict=True)]


@dataclass(frozen=True)
class _Level:
    """All substrings of one length: where they stand, which group each belongs to, and what is known of the groups."""

    at: Ints
    group: Ints
    frequency: Floats
    is_candidate: NDArray[np.bool_]


def candidates(spelling: Spelling, *, most: int) -> Candidates:
    """All characters, and of the longer substrings that repeat and branch the `most` that cover most characters."""
    levels = _levels(spelling)
    found = [np.flatnonzero(level.is_candidate) for level in levels]
    covered = [level.frequency[groups] * (length + 1) for length, (level, groups) in enumerate(zip(levels, found, strict=True))]
    n_characters = len(found[0])
    longer = np.concatenate(covered[1:])
    chosen = np.zeros(n_characters + len(longer), bool)
    best = np.argsort(-longer, kind="stable")[:most]
    chosen[:n_characters] = True
    chosen[n_characters + best] = True
    number = np.full(len(chosen), -1, np.int32)
    number[:n_characters] = np.arange(n_characters)
    number[n_characters + best] = n_characters + np.arange(len(best))

    total = n_characters + len(best)
    place, lengths, frequency = np.zeros(total, np.int64), np.zeros(total, np.int64), np.zeros(total)
    standing = np.full((len(spelling.characters), LONGEST), -1, np.int32)
    first = 0
    for length, (level, groups) in enumerate(zip(levels, found, strict=True)):
        piece_of = np.full(len(level.frequency), -1, np.int32)
        piece_of[groups] = number[first : first + len(groups)]
        first += len(groups)
        pieces = piece_of[level.group]
        standing[level.at, length] = pieces
        there = pieces >= 0
        place[pieces[there][::-1]] = level.at[there][::-1]  # the first place is written last, and stays
        lengths[pieces[there]] = length + 1
        frequency[pieces[there]] = level.frequency[level.group[there]]
    return Candidates(spelling, place, lengths, frequency, standing)


def _levels(spelling: Spelling) -> list[_Level]:
    border = len(spelling.alphabet)
    weight = spelling.counts[spelling.word]
    at = np.flatnonzero(spelling.characters != border)
    group, n_groups = spelling.characters[at], border
    levels: list[_Level] = []
    for length in range(1, LONGEST + 1):
        frequency = np.bincount(group, weight[at], n_groups).astype(float)
        following = spelling.characters[at + length]
        longer, longer_group = np.unique(group * (border + 1) + following, return_inverse=True)
        owner = longer // (border + 1)
        branches = np.bincount(owner, minlength=n_groups) > 1
        branches[owner[longer % (border + 1) == border]] = True
        repeats = frequency >= 2
        levels.append(_Level(at, group, frequency, np.ones(n_groups, bool) if length == 1 else branches & repeats))
        goes_on = (following != border) & repeats[group]
        at, group, n_groups = at[goes_on], longer_group[goes_on], len(longer)
    return levels


def remapped(found: Candidates, kept: NDArray[np.bool_]) -> Candidates:
    """Only the pieces that are kept, numbered anew in the same order."""
    number: NDArray[Any] = np.full(len(kept) + 1, -1, np.int32)
    number[:-1][kept] = np.arange(kept.sum())
    return Candidates(found.spelling, found.place[kept], found.length[kept], found.frequency[kept], number[found.standing])
