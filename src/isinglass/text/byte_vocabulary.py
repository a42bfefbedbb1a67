"""The smallest complete vocabulary: 256 bytes, no merges, nothing to train."""

from __future__ import annotations

from isinglass.text.formats.tiktoken import Published, build
from isinglass.text.patterns import GPT2
from isinglass.text.tokenizer import Tokenizer


def byte_tokenizer() -> Tokenizer:
    """Each UTF-8 byte is a token and its own id.

    >>> byte_tokenizer().encode("né")
    [110, 195, 169]
    """
    return build({bytes([byte]): byte for byte in range(256)}, Published("bytes", GPT2, {}))
