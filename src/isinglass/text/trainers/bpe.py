"""BPE: byte pair encoding joins the two neighbours that occur together most often, again and again.

What: A vocabulary of bytes or of characters grows by one piece with each merge. Encoding replays the merges in their order. Bytes:
words keep the space in front of them and nothing is ever unknown (GPT-2). Characters: spaces are written `▁`, and characters that did
not occur become the unknown token (SentencePiece).

Why: Frequent words become one token, rare ones fall into parts that were seen elsewhere; with bytes every text has an encoding and
comes back exactly.

Math: `next pair = argmax count(ab)`. Ties: `lowest_ids` the pair whose left, then right id is lower (Hugging Face tokenizers);
`first_seen` the one that stands first in the corpus (minbpe); `shortest` the shorter piece, then the first in order of characters
(SentencePiece)

Cost: time linear in the characters of the distinct words, times a logarithm; each merge touches only the places where its pair stands

Used by: GPT-2 and later, Llama, Mistral, SmolLM2

Paper: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016; Gage, "A New Algorithm for Data
Compression", 1994
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from isinglass.core.errors import unknown as unknown_name
from isinglass.text import byte_level, patterns
from isinglass.text.algorithms.base import Algorithm
from isinglass.text.algorithms.bpe import ByPair, ByteBpe, CharacterBpe, OneToken
from isinglass.text.byte_level import BYTE_ORDER
from isinglass.text.decoders import Decoder, Plain, Spaces
from isinglass.text.learning.merges import MostFrequent, Pieces, Ties
from isinglass.text.learning.pairs import Pairs
from isinglass.text.learning.words import Words
from isinglass.text.pretokenize import Matches, compiled
from isinglass.text.tokenizer import Stages
from isinglass.text.trainer import SPACE_WORDS, Learning, Trainer, checked_special, merged, require_apart, require_words

Unit = Literal["byte", "character"]
PATTERNS = {
    "gpt2": patterns.GPT2,
    "cl100k": patterns.CL100K,
    "o200k": patterns.O200K,
    "qwen2": patterns.QWEN2,
    "tekken": patterns.TEKKEN,
}


@dataclass(frozen=True, kw_only=True)
class BpeTrainer(Trainer):
    """What both units share."""

    decoder: Decoder
    ties: Ties
    min_frequency: int

    def learn(self, words: Words, vocab_size: int | None) -> Learning:
        require_words(words)
        pieces, spelled = self._alphabet(words)
        pairs = Pairs((spelled(word), count) for word, count in words.counts.items())
        order = MostFrequent(pairs, pieces, self.ties, min_frequency=self.min_frequency)
        yield from merged(pieces, pairs, order, vocab_size, self.special)
        return self.tokenizer("bpe", self._algorithm(pieces), self.decoder)

    @abstractmethod
    def _alphabet(self, words: Words) -> tuple[Pieces[Any], Callable[[str], list[int]]]:
        """The pieces to begin with, and the word in their ids."""

    @abstractmethod
    def _algorithm(self, pieces: Pieces[Any]) -> Algorithm[Any]:
        """The finished vocabulary; pieces are numbered behind the special tokens."""


class ByteLevel(BpeTrainer):
    """All 256 bytes, in GPT-2's order."""

    def _alphabet(self, words: Words) -> tuple[Pieces[bytes], Callable[[str], list[int]]]:
        require_apart(self.special, byte_level.symbols(bytes(BYTE_ORDER)))
        pieces = Pieces[bytes](
            [bytes([byte]) for byte in BYTE_ORDER], bytes.__add__, forbidden=[token.encode("utf-8") for token in self.special]
        )
        ids = [pieces.ids[bytes([byte])] for byte in range(256)]
        return pieces, lambda word: [ids[byte] for byte in word.encode("utf-8")]

    def _algorithm(self, pieces: Pieces[bytes]) -> ByteBpe:
        return ByteBpe({piece: id + len(self.special) for piece, id in pieces.ids.items()}, ByPair(pieces.merges()))


@dataclass(frozen=True, kw_only=True)
class CharacterLevel(BpeTrainer):
    """The characters that occur, in order of code point; all others become `unknown`."""

    unknown: str

    def _alphabet(self, words: Words) -> tuple[Pieces[str], Callable[[str], list[int]]]:
        pieces = Pieces[str](sorted(words.characters()), str.__add__, forbidden=self.special)
        require_apart(self.special, pieces.ids)
        return pieces, lambda word: [pieces.ids[character] for character in word]

    def _algorithm(self, pieces: Pieces[str]) -> CharacterBpe:
        vocab = {piece: id for id, piece in enumerate([*self.special, *pieces.by_id])}
        return CharacterBpe(vocab, ByPair(pieces.merges()), OneToken(vocab[self.unknown]), apart=self.special)


def build(
    unit: Unit = "byte",
    pattern: str | None = None,
    ties: Ties = "lowest_ids",
    min_frequency: int = 1,
    unknown: str = "<unk>",
    special: tuple[str, ...] = (),
) -> BpeTrainer:
    """The trainer. `pattern`: gpt2, cl100k, o200k, qwen2, tekken or a regular expression whose matches are the words; None is GPT-2's for
    bytes, and words with the `▁` in front of them for characters. Pairs below `min_frequency` are not joined."""
    shared: dict[str, Any] = {"ties": ties, "min_frequency": min_frequency}
    if unit == "byte":
        return ByteLevel(pretokenizers=_matches(pattern or "gpt2"), decoder=Plain(), special=checked_special(special), **shared)
    cut, decoder = (SPACE_WORDS, Spaces()) if pattern is None else (_matches(pattern), Plain())
    return CharacterLevel(pretokenizers=cut, decoder=decoder, special=checked_special(special, unknown), unknown=unknown, **shared)


def _matches(pattern: str) -> Stages:
    if pattern.isidentifier() and pattern not in PATTERNS:
        raise unknown_name("pattern", pattern, PATTERNS, where="bpe(pattern=...)")
    expression = PATTERNS.get(pattern, pattern)
    compiled(expression)  # an error in it shows here, not after the corpus was read
    return Stages.same(Matches(expression))


EXAMPLE = dict(unit="character", ties="shortest")
