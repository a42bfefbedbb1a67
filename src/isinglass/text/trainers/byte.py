"""Byte: every byte of UTF-8 is a token.

What: 256 tokens for the 256 bytes, behind the special ones. There is nothing to learn, and the texts are not read.

Why: No character of any script is unknown. English takes one token for each letter, Thai or Hindi three.

Math: `id = number of special tokens + byte`

Cost: O(bytes) to encode

Used by: ByT5, MegaByte

Paper: Xue et al., "ByT5: Towards a Token-Free Future with Pre-trained Byte-to-Byte Models", 2022
"""

from __future__ import annotations

from dataclasses import dataclass

from isinglass.text import byte_level
from isinglass.text.algorithms.byte import Byte
from isinglass.text.decoders import Plain
from isinglass.text.learning.words import Words
from isinglass.text.trainer import Learning, PiecesLearned, Trainer, checked_special, require_apart, require_room, too_large


@dataclass(frozen=True, kw_only=True)
class ByteTrainer(Trainer):
    """There is nothing to set but the special tokens."""

    reads_texts = False

    def learn(self, words: Words, vocab_size: int | None) -> Learning:
        require_apart(self.special, byte_level.symbols(bytes(range(256))))
        first = len(self.special)
        size = first + 256
        require_room(vocab_size, size, "special tokens and the 256 bytes")
        if vocab_size is not None and vocab_size > size:
            raise too_large(vocab_size, size, "there are 256 bytes")
        yield PiecesLearned(size, size)
        algorithm = Byte({bytes([byte]): first + byte for byte in range(256)})
        return self.tokenizer("byte", algorithm, Plain())


def build(special: tuple[str, ...] = ()) -> ByteTrainer:
    """The trainer; `special` tokens take the first ids."""
    return ByteTrainer(special=checked_special(special))


EXAMPLE = dict(special=("<pad>", "</s>", "<unk>"))
