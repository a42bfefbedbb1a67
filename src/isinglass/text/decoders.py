"""Decoders: what each token adds to the text, as bytes. Decoding is joining these bytes, so streams decode like whole texts."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

from isinglass.text import byte_level


class Decoder(ABC):
    """From a vocabulary's symbol (bytes or text) to bytes of UTF-8; the first token of a text may drop a space."""

    @abstractmethod
    def bytes_of(self, symbol: bytes | str, *, first: bool) -> bytes:
        """The bytes that a token adds."""

    def piece_of(self, symbol: bytes | str) -> str:
        """The symbol as vocabulary files write it."""
        return byte_level.symbols(symbol) if isinstance(symbol, bytes) else symbol


@dataclass(frozen=True)
class Plain(Decoder):
    """Bytes are themselves and text is its UTF-8: byte-level vocabularies."""

    def bytes_of(self, symbol: bytes | str, *, first: bool) -> bytes:
        return symbol if isinstance(symbol, bytes) else symbol.encode("utf-8")


_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>\Z")


@dataclass(frozen=True)
class Spaces(Decoder):
    """SentencePiece: `▁` is a space, `<0x0A>` a byte, and up to `dropped` spaces in front of the text were added by the encoder."""

    symbol: str = "▁"
    dropped: int = 1

    def bytes_of(self, symbol: bytes | str, *, first: bool) -> bytes:
        piece = symbol.decode() if isinstance(symbol, bytes) else symbol
        byte = _BYTE_PIECE.match(piece)
        if byte:
            return bytes([int(byte[1], 16)])
        text = piece.replace(self.symbol, " ")
        if first:
            spaces = len(text) - len(text.lstrip(" "))
            text = text[min(spaces, self.dropped) :]
        return text.encode("utf-8")


# English punctuation and contractions that WordPiece cut off, put back; one token at a time.
_CLEANUP = [(" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't")]
_CLEANUP += [(" 's", "'s"), (" 've", "'ve"), (" 're", "'re")]


@dataclass(frozen=True)
class Words(Decoder):
    """WordPiece: words are joined by spaces, pieces with the continuation mark to what stands before them."""

    continuation: str = "##"
    cleanup: bool = True

    def bytes_of(self, symbol: bytes | str, *, first: bool) -> bytes:
        text = symbol.decode() if isinstance(symbol, bytes) else symbol
        if not first:
            inner = text.startswith(self.continuation)
            text = text[len(self.continuation) :] if inner else " " + text
        for apart, joined in _CLEANUP if self.cleanup else ():
            text = text.replace(apart, joined)
        return text.encode("utf-8")


@dataclass(frozen=True)
class Joined(Decoder):
    """Whole words with a space between them: word-level vocabularies."""

    def bytes_of(self, symbol: bytes | str, *, first: bool) -> bytes:
        text = symbol.decode() if isinstance(symbol, bytes) else symbol
        return (text if first else " " + text).encode("utf-8")
