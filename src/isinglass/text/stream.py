"""Decoding while ids arrive: only complete characters come out, and all of them together are what `decode` gives."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isinglass.text.tokenizer import Tokenizer


class StreamDecoder:
    """Feed ids, get text. One for each stream; it holds the bytes of a character that is not complete.

    >>> from isinglass.text.load import tokenizer
    >>> gpt2 = tokenizer("gpt2")
    >>> stream = gpt2.stream()
    >>> [stream.feed(id) for id in gpt2.encode("Hi 🦊!")]
    ['Hi', ' ', '', '🦊', '!']
    >>> stream.finish()
    ''
    """

    def __init__(self, tokenizer: Tokenizer, *, skip: frozenset[int] = frozenset()) -> None:
        self._tokenizer = tokenizer
        self._skip = skip
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = False

    def feed(self, id: int) -> str:
        """The text that became complete with this id, often none."""
        if id in self._skip:
            return ""
        tokenizer = self._tokenizer
        later = tokenizer.token_bytes(id)
        if self._begun:
            return self._utf8.decode(later)
        self._begun = bool(later)
        return self._utf8.decode(tokenizer.first_bytes(id))

    def finish(self) -> str:
        """What is left: U+FFFD for a character that stayed incomplete, or nothing. The decoder can then begin another text."""
        self._begun = False
        return self._utf8.decode(b"", final=True)
