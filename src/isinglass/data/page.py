"""What the rules of quality measure in a text: its words, lines and paragraphs, and how much of it repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property


class Page:
    """A text and its parts, each cut once. Words are what whitespace separates."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def words(self) -> list[str]:
        return self.text.split()

    @cached_property
    def lines(self) -> list[str]:
        """Lines that are not empty, without the space around them."""
        return [line.strip() for line in self.text.split("\n") if line.strip()]

    @cached_property
    def paragraphs(self) -> list[str]:
        """What empty lines separate."""
        paragraphs: list[list[str]] = [[]]
        for line in self.text.split("\n"):
            if line.strip():
                paragraphs[-1].append(line.strip())
            elif paragraphs[-1]:
                paragraphs.append([])
        return ["\n".join(lines) for lines in paragraphs if lines]

    @cached_property
    def word_ids(self) -> list[int]:
        """A number for each word, equal for equal words."""
        known: dict[str, int] = {}
        return [known.setdefault(word, len(known)) for word in self.words]

    @cached_property
    def letters_in_words(self) -> int:
        """Characters of all words together."""
        return sum(map(len, self.words))

    def share_of_words(self, fits: int) -> float:
        return fits / len(self.words) if self.words else 0.0


def repeated_share(parts: Sequence[str]) -> float:
    """The share of parts that have stood before, 0 for none.

    >>> repeated_share(["a", "b", "a", "a"])
    0.5
    """
    return (len(parts) - len(set(parts))) / len(parts) if parts else 0.0


def repeated_character_share(parts: Sequence[str]) -> float:
    """The share of their characters that stands in parts that have stood before.

    >>> repeated_character_share(["abc", "d", "abc"])
    0.42857142857142855
    """
    total = sum(map(len, parts))
    return (total - sum(map(len, set(parts)))) / total if total else 0.0


def top_ngram_share(page: Page, n: int) -> float:
    """The share of characters of words that stands in the n-gram of words that takes up the most, where it occurs more than once."""
    ids, words = page.word_ids, page.words
    counts = Counter(zip(*(ids[shift:] for shift in range(n)), strict=False))
    first = dict(zip(ids, words, strict=True))
    most = max((times * sum(len(first[id]) for id in gram) for gram, times in counts.items() if times > 1), default=0)
    return min(1.0, most / page.letters_in_words) if most else 0.0


def repeated_ngram_share(page: Page, n: int) -> float:
    """The share of characters of words inside n-grams of words that have stood before; a word in two of them counts once."""
    ids, words = page.word_ids, page.words
    seen: set[tuple[int, ...]] = set()
    covered = repeated = 0  # words before `covered` are counted
    for at, gram in enumerate(zip(*(ids[shift:] for shift in range(n)), strict=False)):
        if gram in seen:
            repeated += sum(map(len, words[max(at, covered) : at + n]))
            covered = at + n
        seen.add(gram)
    return repeated / page.letters_in_words if repeated else 0.0
