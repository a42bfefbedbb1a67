"""GPT-2's alphabet: one printable character for each of the 256 bytes, so that byte-level vocabularies can be stored as text.

The 188 bytes that are printable in Latin-1 stand for themselves; the other 68 become U+0100 and following, in order: a space is `Ġ`,
a newline `Ċ`. Radford et al., "Language Models are Unsupervised Multitask Learners", 2019 (section 2.2).
"""

from __future__ import annotations

_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_HIDDEN = [byte for byte in range(256) if byte not in set(_PRINTABLE)]

#: The order in which GPT-2 numbered the bytes: printable ones first.
BYTE_ORDER: tuple[int, ...] = (*_PRINTABLE, *_HIDDEN)

_TO_SYMBOL = {**{byte: byte for byte in _PRINTABLE}, **{byte: 0x100 + i for i, byte in enumerate(_HIDDEN)}}
_TO_BYTE = {symbol: byte for byte, symbol in _TO_SYMBOL.items()}


def symbols(raw: bytes) -> str:
    """Bytes as text, one character for each byte.

    >>> symbols(b" the\\n")
    'ĠtheĊ'
    """
    return raw.decode("latin-1").translate(_TO_SYMBOL)


def raw_bytes(text: str) -> bytes | None:
    """The bytes that `symbols` made text of; None when a character is not of the alphabet.

    >>> raw_bytes("Ġthe")
    b' the'
    """
    try:
        raw = text.translate(_TO_BYTE).encode("latin-1")
    except UnicodeEncodeError:
        return None
    # A Latin-1 character that is no symbol (a plain space) passes through `translate` unchanged.
    return raw if symbols(raw) == text else None
