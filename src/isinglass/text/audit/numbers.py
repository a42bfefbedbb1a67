"""How numbers are cut: models add digit by digit only as well as their tokens let them see digits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from isinglass.show.marks.lines import lines
from isinglass.show.table import Table
from isinglass.text.audit.report import Audit, distinct, shown
from isinglass.text.tokenizer import Tokenizer

EXAMPLES = ("7", "42", "365", "2024", "31415", "1000000", "1,000,000", "3.14159", "-40", "1e-05", "2024-03-15", "07:45", "0x1F", "१२३")
_STEPS = {1: 1, 2: 1, 3: 1, 4: 7}  # by digits: every number of up to three, every seventh of four


def audit(tokenizers: Sequence[Tokenizer]) -> Audit:
    """Every number below 1,000 and every seventh up to 9,999, by how many digits its tokens hold, and examples of other kinds."""
    shapes = {one.name: {digits: _shapes(one, digits) for digits in _STEPS} for one in distinct(tokenizers)}
    rows = [_row(name, digits, counted) for name, by_digits in shapes.items() for digits, counted in by_digits.items()]
    by_length = Table(
        rows,
        title="How numbers are cut: digits per token",
        units={"one_token": "ratio", "share": "ratio"},
        notes=["every number of up to three digits, every seventh of four"],
    )
    examples = Table(
        [{"number": text, **{one.name: shown(one, one.tokens(text)) for one in tokenizers}} for text in EXAMPLES],
        title="Numbers as tokens",
    )
    figure = lines(
        {name: (list(_STEPS), [_one_token(counted) for counted in by_digits.values()]) for name, by_digits in shapes.items()},
        title="Numbers that are one token", x="digits", y="share of all numbers with so many digits",
    )  # fmt: skip
    uneven = [name for name, by_digits in shapes.items() if any(len(counted) > 1 for counted in by_digits.values())]
    even = [name for name in shapes if name not in uneven]
    return Audit("How do digits split?", _finding(even, uneven), (by_length, examples), (figure,))


def _finding(even: list[str], uneven: list[str]) -> str:
    parts = [f"{', '.join(uneven)}: where a number is cut depends on the number, not on its length" if uneven else ""]
    parts += [f"{', '.join(even)}: numbers of equal length are cut alike" if even else ""]
    return "; ".join(part for part in parts if part) + "."


def _shapes(tokenizer: Tokenizer, digits: int) -> Counter[str]:
    """How many numbers with so many digits have each shape, such as `3+1`."""
    first = 0 if digits == 1 else 10 ** (digits - 1)
    return Counter(_shape(tokenizer, str(number)) for number in range(first, 10**digits, _STEPS[digits]))


def _shape(tokenizer: Tokenizer, number: str) -> str:
    """Digits per token; a token for a space put in front covers none and is left out."""
    return "+".join(str(token.end - token.start) for token in tokenizer.tokens(number) if token.end > token.start)


def _one_token(shapes: Counter[str]) -> float:
    return sum(count for shape, count in shapes.items() if "+" not in shape) / shapes.total()


def _row(name: str, digits: int, shapes: Counter[str]) -> dict[str, Any]:
    shape, count = shapes.most_common(1)[0]
    return {
        "tokenizer": name,
        "digits": digits,
        "one_token": _one_token(shapes),
        "shapes": len(shapes),
        "most_common_shape": shape,
        "share": count / shapes.total(),
    }
