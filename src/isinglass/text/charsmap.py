"""SentencePiece's precompiled character map: which strings are replaced by which before tokenization.

The blob is a length, a double-array trie over UTF-8 bytes (Darts: Aoe, "An efficient digital search algorithm by using a double-array
structure", 1989; units as in darts-clone), and a pool of zero-terminated replacements that the trie's values point into.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import regex

from isinglass.core.errors import TokenizerError
from isinglass.text.normalize import Edit, Normalizer

_GRAPHEME = regex.compile(r"\X")


class DoubleArray:
    """The trie: `unit ^ label` walks, bit 31 marks a unit that is no value, bit 8 says that a value hangs below."""

    def __init__(self, blob: bytes) -> None:
        size = struct.unpack_from("<I", blob)[0] if len(blob) >= 4 else -1
        if size < 4 or size % 4 or 4 + size > len(blob):
            raise TokenizerError(f"precompiled character map of {len(blob)} bytes is damaged: its trie says {size} bytes")
        self._units = array("I", blob[4 : 4 + size])
        if sys.byteorder == "big":
            self._units.byteswap()
        self._pool = blob[4 + size :]

    def replacement(self, value: int) -> str:
        return self._pool[value : self._pool.index(b"\0", value)].decode("utf-8")

    def matches(self, key: bytes, start: int = 0) -> Iterator[tuple[int, int]]:
        """`(length, value)` of every stored string that starts at `key[start]`, shortest first."""
        units = self._units
        node = 0
        unit = units[0]
        node ^= (unit >> 10) << ((unit & 0x200) >> 6)
        for at in range(start, len(key)):
            label = key[at]
            node ^= label
            unit = units[node]
            if unit & 0x800000FF != label:
                return
            node ^= (unit >> 10) << ((unit & 0x200) >> 6)
            if unit & 0x100:
                yield at + 1 - start, units[node] & 0x7FFFFFFF

    @cached_property
    def plain(self) -> str:
        """The printable ASCII characters that nothing replaces, unless something beyond ASCII follows them."""
        ascii_after = [bytes([code]) for code in range(128)]

        def replaced(character: bytes) -> bool:
            return any(length <= 2 for after in ascii_after for length, _ in self.matches(character + after))

        return "".join(chr(code) for code in range(32, 127) if not replaced(bytes([code])))

    @cached_property
    def lone(self) -> dict[int, str]:
        """ASCII characters that are replaced by one plain one or by nothing, whatever ASCII follows them (tabs, line ends)."""
        lone: dict[int, str] = {}
        for code in range(128):
            found = {match for after in range(128) for match in self.matches(bytes([code, after]))}
            new = self.replacement(next(iter(found))[1]) if len(found) == 1 and next(iter(found))[0] == 1 else None
            if new is not None and len(new) < 2 and new in self.plain:
                lone[code] = new
        return lone


@dataclass(frozen=True)
class Charsmap(Normalizer):
    """The map as SentencePiece applies it: at each place the longest stored string is replaced."""

    blob: bytes

    @cached_property
    def _trie(self) -> DoubleArray:
        return DoubleArray(self.blob)

    @cached_property
    def _cells(self) -> re.Pattern[str]:
        plain = f"[{re.escape(self._trie.plain)}]"
        return re.compile(f"{plain}+(?![^\0-\x7f])|(?s:.)") if self._trie.plain else re.compile(r"(?s:.)")

    @cached_property
    def _simple(self) -> re.Pattern[str]:
        return re.compile(f"[{re.escape(self._trie.plain)}]*\\Z")

    @cached_property
    def _lone(self) -> dict[int, str]:
        return self._trie.lone

    def apply(self, text: str) -> str:
        if text.isascii():
            text = text.translate(self._lone)
        if self._simple.match(text):
            return text
        return "".join(new for _, _, new in self.edits(text))

    def edits(self, text: str) -> Iterator[Edit]:
        cells, trie = self._cells, self._trie
        at = 0
        while at < len(text):
            found = cells.match(text, at)
            end = found.end() if found else at + 1
            if end - at > 1 or (text[at] in trie.plain and end == len(text)):
                yield at, end, text[at:end]
                at = end
                continue
            raw = text[at : at + 24].encode()
            longest = max(trie.matches(raw), default=None)
            if longest is None:
                yield at, at + 1, text[at]
                at += 1
            else:
                end = at + len(raw[: longest[0]].decode())
                yield at, end, trie.replacement(longest[1])
                at = end


@dataclass(frozen=True)
class GraphemeCharsmap(Normalizer):
    """The map as Hugging Face `tokenizers` applies it (`Precompiled`): short graphemes as a whole, else character by character.

    The two differ on rare sequences only, such as an ideograph of compatibility with a mark behind it.
    """

    blob: bytes

    @cached_property
    def _trie(self) -> DoubleArray:
        return DoubleArray(self.blob)

    def apply(self, text: str) -> str:
        return "".join(new for _, _, new in self.edits(text))

    def edits(self, text: str) -> Iterator[Edit]:
        for found in _GRAPHEME.finditer(text):
            start, end = found.span()
            whole = self._first(found.group()) if len(found.group().encode()) < 6 else None
            if whole is not None:
                yield start, end, whole
                continue
            for at in range(start, end):
                new = self._first(text[at])
                yield at, at + 1, text[at] if new is None else new

    def _first(self, key: str) -> str | None:
        """The replacement of the SHORTEST stored string that starts the key: what the published implementation does."""
        for _, value in self._trie.matches(key.encode()):
            return self._trie.replacement(value)
        return None
