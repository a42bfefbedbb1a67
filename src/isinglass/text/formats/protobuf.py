"""As much of the protocol buffer wire format as reading a SentencePiece model needs: numbered fields of four kinds.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from isinglass.core.errors import TokenizerError

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
Value = int | float | bytes


def fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """`(field number, value)` in order: ints for varints, floats for fixed ones, bytes for strings and inner messages."""
    at, end = 0, len(message)
    try:
        while at < end:
            key, at = _varint(message, at)
            kind = key & 7
            if kind == VARINT:
                value, at = _varint(message, at)
                yield key >> 3, value
            elif kind == LENGTH:
                size, at = _varint(message, at)
                if at + size > end:
                    raise IndexError
                yield key >> 3, message[at : at + size]
                at += size
            elif kind in (FIXED32, FIXED64):
                code, size = ("<f", 4) if kind == FIXED32 else ("<d", 8)
                yield key >> 3, struct.unpack_from(code, message, at)[0]
                at += size
            else:
                raise TokenizerError(f"this is no protocol buffer: field kind {kind} at byte {at}")
    except (IndexError, struct.error) as error:
        raise TokenizerError(f"protocol buffer ends early: field at byte {at} of {end}") from error


def _varint(message: bytes, at: int) -> tuple[int, int]:
    byte = message[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = 0, 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
