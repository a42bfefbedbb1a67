"""How the values of tables and figures are written for people: 134.5M, 1.2 GB, 12.3 ms, 77.2 %, and tokens with visible spaces.

The scales stand in `core.units`; this file chooses by unit. Machine formats (CSV, JSON) keep the raw values.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

from isinglass.core import units

NOTHING = "–"  # a cell without a value
MARKS = {" ": "·", "\n": "↵", "\r": "␍", "\t": "⇥"}  # what cannot be seen in a token gets a visible mark


def flops(value: float) -> str:
    """Floating-point operations.

    >>> flops(2.69e11)
    '269.0 GFLOP'
    """
    for factor, prefix in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.1f} {prefix}FLOP"
    return f"{value:g} FLOP"


def percent(ratio: float | Decimal) -> str:
    """A ratio 0..1 as per cent; what is small but not zero is never written as 0.0 %. A share of money is exact and has two decimals.

    >>> percent(0.7721), percent(0.00003), percent(0), percent(Decimal("0.8425"))
    ('77.2 %', '0.003 %', '0.0 %', '84.25 %')
    """
    value = 100 * float(ratio)
    if isinstance(ratio, Decimal):
        return f"{100 * ratio:.2f} %"
    if value != 0 and abs(value) < 0.1:
        return f"{value:.1g} %" if abs(value) >= 1e-4 else f"{value:.0e} %"
    return units.share(ratio)


def usd(value: float | Decimal) -> str:
    """Dollars: cents from one dollar on; below, three significant digits, and in full where an exact amount has at most six.

    >>> usd(Decimal("1234.5")), usd(Decimal("0.001675")), usd(1 / 3)
    ('$1,234.50', '$0.001675', '$0.333')
    """
    sign, amount = ("-" if value < 0 else ""), abs(Decimal(str(value)))
    if amount == 0 or amount >= 1:
        return f"{sign}${amount:,.2f}"
    exact = len(amount.normalize().as_tuple().digits) if isinstance(value, Decimal) else 0
    digits = max(2, max(3, exact if exact <= 6 else 0) - 1 - amount.adjusted())
    text = f"{amount:.{digits}f}"
    whole, _, cents = text.partition(".")
    return f"{sign}${whole}.{cents.rstrip('0').ljust(2, '0')}"


def plain(value: Any) -> str:
    """A number without a unit: integers in full, others to four significant digits.

    >>> plain(50257), plain(0.77214), plain(None)
    ('50,257', '0.7721', '–')
    """
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real | Decimal):
        number = float(value)
        if math.isnan(number):
            return NOTHING
        if math.isinf(number):
            return "∞" if number > 0 else "-∞"
        if number.is_integer() and abs(number) < 1e15:
            return f"{int(number):,}"
        return f"{number:,.1f}" if 1000 <= abs(number) < 1e9 else f"{number:.4g}"
    return str(value)


HUMAN: dict[str, Callable[[Any], str]] = {
    "count": units.count,
    "bytes": units.size,
    "seconds": units.duration,
    "flops": flops,
    "usd": usd,
    "ratio": percent,
}
_SUFFIXES = ("bytes", "seconds", "flops", "usd")  # units stand in names, so `total_bytes` says its unit itself


def unit_of(column: str) -> str | None:
    """The unit a name carries in its ending, or None.

    >>> unit_of("cache_bytes"), unit_of("loss")
    ('bytes', None)
    """
    return next((unit for unit in _SUFFIXES if column == unit or column.endswith(f"_{unit}")), None)


def value(item: Any, unit: str | None = None) -> str:
    """One value as a person reads it. Units of `HUMAN` are written with the number; any other unit belongs in the heading.

    >>> value(0.772, "ratio"), value(3, "layers"), value("Paris")
    ('77.2 %', '3', 'Paris')
    """
    is_number = isinstance(item, Real | Decimal) and not isinstance(item, bool)
    if unit in HUMAN and is_number and math.isfinite(item):
        return HUMAN[unit](item)
    return plain(item)


def heading(column: str, unit: str | None = None) -> str:
    """The heading of a column: words instead of underscores; a unit that the values do not show themselves in brackets.

    >>> heading("cache_bytes", "bytes"), heading("loss", "nats")
    ('cache', 'loss (nats)')
    """
    words = column.removesuffix(f"_{unit}") if unit else column
    words = words.replace("_", " ")
    return words if unit is None or unit in HUMAN else f"{words} ({unit})"


def visible(text: str) -> str:
    """Text that can neither move a terminal's cursor nor turn the reading direction: such characters become pictures or escapes.

    >>> visible("red" + chr(27) + "[31m"), visible("a" + chr(0x202E) + "b")
    ('red␛[31m', 'a\\\\u202eb')
    """
    return "".join(map(_harmless, text))


def _harmless(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char != "\u200d":  # the joiner holds emoji families together
        return f"\\u{code:04x}"
    return char


def token(piece: str | bytes) -> str:
    """A token as it can be seen: spaces, newlines and tabs as marks, bytes that are no text in hexadecimal.

    >>> token(" the"), token(b"\\xe2\\x80"), token("")
    ('·the', '‹E2 80›', '∅')
    """
    if isinstance(piece, bytes):
        try:
            piece = piece.decode("utf-8")
        except UnicodeDecodeError:
            return f"‹{piece.hex(' ').upper()}›"
    return "".join(MARKS.get(char) or _harmless(char) for char in piece) or "∅"


def label(text: str) -> str:
    """A label as it can be seen: like `token`, but the spaces between words stay spaces.

    >>> label(" New York"), label("layer 3")
    ('·New York', 'layer 3')
    """
    core = text.strip(" ")
    if not core:
        return token(text)
    start = text.index(core)
    return "·" * start + "".join(char if char == " " else token(char) for char in core) + "·" * (len(text) - start - len(core))
