"""Personal data in text: e-mail, IBAN, card, social security and phone numbers, IP addresses; checked where they carry a check.

Source: ISO/IEC 7812-1 annex B (the Luhn check of card numbers), ISO 13616 with ISO 7064 MOD 97-10 (IBAN), the US Social Security
Administration's rules for numbers never issued, ITU-T E.164 (at most 15 digits in a phone number), RFC 5321, RFC 4291.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Found(NamedTuple):
    """A place in a text that holds personal data of a kind."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Kind:
    """A kind of personal data: what it looks like, and what tells the real from the alike."""

    name: str
    pattern: re.Pattern[str]
    is_real: Callable[[str], bool]


def luhn(number: str) -> bool:
    """Whether the digits of a number pass the Luhn check.

    >>> luhn("4111 1111 1111 1111"), luhn("4111 1111 1111 1112")
    (True, False)
    """
    digits = [int(char) for char in number if char.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return bool(digits) and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def iban(number: str) -> bool:
    """Whether an IBAN has a length that exists and leaves 1 modulo 97.

    >>> iban("GB82 WEST 1234 5698 7654 32"), iban("GB83 WEST 1234 5698 7654 32")
    (True, False)
    """
    plain = re.sub(r"[ -]", "", number).upper()
    if not 15 <= len(plain) <= 34 or not plain.isalnum() or not plain.isascii():
        return False
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


def _card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    # the first digit names the kind of issuer; cards of payment begin with 2 to 6
    return 13 <= len(digits) <= 19 and digits[0] in "23456" and len(set(digits)) > 1 and luhn(digits)


def _ssn(text: str) -> bool:
    area, group, serial = re.split(r"[- ]", text)
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _ip(text: str) -> bool:
    try:
        return ipaddress.ip_address(text) is not None
    except ValueError:
        return False


def _phone(text: str) -> bool:
    return 7 <= sum(map(str.isdigit, text)) <= 15


def _always(_: str) -> bool:
    return True


_EMAIL = r"(?<![\w.+-])[A-Za-z0-9][\w.+%-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}\b"
_IBAN = r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?\b"
_CARD = r"(?<![\d.,-])\d(?:[ -]?\d){12,18}(?![\d-])"
_SSN = r"(?<![\d-])\d{3}([- ])\d{2}\1\d{4}(?![\d-])"
_IPV4 = r"(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)"
_IPV6 = r"(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}(?![\w:.])"
_PHONES = (
    r"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,6}",  # +44 20 7946 0958
    r"(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}",  # (212) 555-0100
    r"0\d{9,10}",  # 02079460958
    r"0\d{2,4}[ -]\d{3,4}[ -]?\d{3,4}",  # 020 7946 0958
)
# in the order they are looked for: what a number has been found to be is not looked at again
KINDS = (
    Kind("email", re.compile(_EMAIL), _always),
    Kind("iban", re.compile(_IBAN), iban),
    Kind("card", re.compile(_CARD), _card),
    Kind("ssn", re.compile(_SSN), _ssn),
    Kind("ip", re.compile(rf"(?<![\w.:])(?:{_IPV4}|{_IPV6})"), _ip),
    Kind("phone", re.compile(rf"(?<![\w.+-])(?:{'|'.join(_PHONES)})(?![\w-])"), _phone),
)
NAMES = tuple(kind.name for kind in KINDS)


def find(text: str) -> list[Found]:
    """The personal data in a text, in order, no two places overlapping.

    >>> find("Write to ann@example.org")
    [Found(kind='email', start=9, end=24)]
    """
    taken: list[Found] = []
    for kind in KINDS:
        taken += [
            found for found in _matches(kind, text) if not any(found.start < other.end and other.start < found.end for other in taken)
        ]
    return sorted(taken, key=lambda found: found.start)


def _overlap(a: Found, b: Found) -> bool:
    return a.start < b.end and b.start < a.end


def mask(text: str, found: list[Found]) -> str:
    """The text with each place replaced by the name of its kind in brackets: `[EMAIL]`."""
    for kind, start, end in reversed(found):
        text = f"{text[:start]}[{kind.upper()}]{text[end:]}"
    return text


def _matches(kind: Kind, text: str) -> Iterator[Found]:
    if kind.name != "email" or "@" in text:
        for match in kind.pattern.finditer(text):
            if kind.is_real(match.group()):
                yield Found(kind.name, *match.span())
