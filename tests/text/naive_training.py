"""Training by merges as one would first write it: count the whole corpus again for every merge. The oracle of the incremental trainer."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

Word = tuple[str, ...]


def joined(left: str, right: str) -> str:
    """Two pieces as one; `##` marks what does not begin a word."""
    return left + right.removeprefix("##")


def replaced(word: Word, pair: tuple[str, str]) -> Word:
    """The word with each occurrence of the pair joined, from left to right."""
    pieces = list(word)
    at = 0
    while at < len(pieces) - 1:
        if (pieces[at], pieces[at + 1]) == pair:
            pieces[at : at + 2] = [joined(*pair)]
        at += 1
    return tuple(pieces)


def train(words: dict[Word, int], *, score: str, ties: str, size: int) -> tuple[list[str], list[tuple[str, str]]]:
    """The pieces and the merges, until there are `size` pieces or no pair is left."""
    pieces = sorted({piece for word in words for piece in word})
    merges: list[tuple[str, str]] = []
    corpus = list(words.items())
    while len(pieces) < size:
        counts: Counter[tuple[str, str]] = Counter()
        frequency: Counter[str] = Counter()
        for word, count in corpus:
            for piece in word:
                frequency[piece] += count
            for pair in pairwise(word):
                counts[pair] += count
        if not counts:
            break
        # A pair that was learned before and stands there again is joined first, as an encoder would.
        again = [pair for pair in merges if pair in counts]
        if again:
            corpus = [(replaced(word, again[0]), count) for word, count in corpus]
            continue
        seen = {pair: at for at, pair in enumerate(counts)}

        def key(pair: tuple[str, str]) -> tuple[object, ...]:
            left, right = pair
            best = -counts[pair] if score == "frequency" else -counts[pair] / (frequency[left] * frequency[right])  # noqa: B023
            by_ids = (pieces.index(left), pieces.index(right))
            piece = joined(left, right)
            return best, *{"lowest_ids": (), "first_seen": (seen[pair],), "shortest": (len(piece), piece)}[ties], by_ids  # noqa: B023

        best = min(counts, key=key)
        merges.append(best)
        if joined(*best) not in pieces:
            pieces.append(joined(*best))
        corpus = [(replaced(word, best), count) for word, count in corpus]
    return pieces, merges
