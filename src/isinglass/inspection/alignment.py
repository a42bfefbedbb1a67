"""Two tokenizations of one text, cut at the places where both have a boundary between tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isinglass.core.errors import EngineError
from isinglass.text.tokenizer import Token


@dataclass(frozen=True)
class Span:
    """`text[start:end]` is what the tokens `a` of the one and `b` of the other cover, neither of them cut."""

    start: int
    end: int
    a: range
    b: range


def aligned(text: str, a: Sequence[Token], b: Sequence[Token]) -> list[Span]:
    """The finest spans of at least one token of each. Tokens that cover nothing belong to what follows them; those at the end to nothing.

    A boundary between two tokens is where all before it end and none behind it has begun: tokens that share a character are not parted.
    EngineError for a text of which one side has no token.

    >>> one = [Token(0, "un", 0, 2), Token(1, "seen", 2, 6), Token(2, "!", 6, 7)]
    >>> other = [Token(0, "uns", 0, 3), Token(1, "een", 3, 6), Token(2, "!", 6, 7)]
    >>> [(span.start, span.end, len(span.a), len(span.b)) for span in aligned("unseen!", one, other)]
    [(0, 6, 2, 2), (6, 7, 1, 1)]
    """
    left, right = _boundaries(a, len(text)), _boundaries(b, len(text))
    spans: list[Span] = []
    start = n_a = n_b = 0
    for place in range(1, len(text) + 1):
        k_a, k_b = left[place], right[place]
        if k_a is not None and k_b is not None and k_a > n_a and k_b > n_b:
            spans.append(Span(start, place, range(n_a, k_a), range(n_b, k_b)))
            start, n_a, n_b = place, k_a, k_b
    if not spans:
        raise EngineError(f"the text {text!r} gives no tokens to compare: one of the two models reads nothing in it")
    last = spans[-1]  # what one side alone reads at the end, such as blanks, belongs to the last span
    ends = left[len(text)] or last.a.stop, right[len(text)] or last.b.stop
    spans[-1] = Span(last.start, len(text), range(last.a.start, ends[0]), range(last.b.start, ends[1]))
    return spans


def _boundaries(tokens: Sequence[Token], length: int) -> list[int | None]:
    """For each place of the text how many tokens stand before it; None inside of a token."""
    covering = max((number for number, token in enumerate(tokens, start=1) if token.end > token.start), default=0)
    counts: list[int | None] = []
    for place in range(length + 1):
        before = sum(token.start < place and token.end <= place for token in tokens[:covering])
        whole = all(token.start >= place for token in tokens[before:covering])
        counts.append(before if whole else None)
    return counts
