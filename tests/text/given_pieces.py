"""Pieces that are told, not found: all places where they stand in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isinglass.text.learning.substrings import LONGEST, Candidates, Spelling


def given_pieces(words: Mapping[str, int], frequency: Mapping[str, float]) -> Candidates:
    """The pieces of `frequency`, in its order, as candidates over `words`; each of them must stand there."""
    spelling = Spelling.of(words)
    number = {piece: at for at, piece in enumerate(frequency)}
    standing = np.full((len(spelling.text), LONGEST), -1, np.int32)
    for at in range(len(spelling.text)):
        for length in range(1, LONGEST + 1):
            standing[at, length - 1] = number.get(spelling.text[at : at + length], -1)
    places = np.array([spelling.text.index(piece) for piece in frequency])
    lengths = np.array([len(piece) for piece in frequency])
    return Candidates(spelling, places, lengths, np.array([*frequency.values()], float), standing)
