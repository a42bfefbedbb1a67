"""WordPiece: joins neighbours that occur together more often than their parts would make one expect.

What: A word is a first character and further ones marked `##`. The best pair is joined until the vocabulary is full. Encoding takes
the longest piece that fits, from left to right, and does not need the merges.

Why: `score="likelihood"` is what the paper describes: "qu" is joined early although it is rare, because "q" hardly occurs without "u".
`score="frequency"` is what Hugging Face tokenizers calls WordPiece: the merges of BPE, with the same tie-break and ids.

Math: `likelihood: argmax count(ab) / (count(a) count(b))`; `frequency: argmax count(ab)`. Ties: `lowest_ids`, `first_seen` (Hugging
Face's course) or `shortest`, as for bpe

Cost: frequency as bpe; likelihood looks again at all pairs of the two symbols that a merge made rarer

Used by: BERT, DistilBERT, MiniLM, ELECTRA

Paper: Schuster and Nakajima, "Japanese and Korean Voice Search", 2012
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from isinglass.text.algorithms.wordpiece import WordPiece
from isinglass.text.decoders import Words as JoinedWords
from isinglass.text.learning.merges import MostFrequent, MostLikely, Order, Pieces, Ties
from isinglass.text.learning.pairs import Pairs
from isinglass.text.learning.words import Words
from isinglass.text.normalize import BertNormalizer
from isinglass.text.pretokenize import BertWords
from isinglass.text.surround import Surround
from isinglass.text.tokenizer import Stages
from isinglass.text.trainer import Learning, Trainer, checked_special, merged, require_apart, require_words

Score = Literal["likelihood", "frequency"]
Case = Literal["kept", "lowered"]
ORDERS: Mapping[str, type[Order]] = {"likelihood": MostLikely, "frequency": MostFrequent}
INSIDE = "##"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True, kw_only=True)
class WordPieceTrainer(Trainer):
    """`alphabet` are pieces that come first, in this order; the others of the corpus follow, sorted."""

    score: Score
    ties: Ties
    min_frequency: int
    unknown: str
    alphabet: tuple[str, ...]

    def learn(self, words: Words, vocab_size: int | None) -> Learning:
        require_words(words)
        pieces = Pieces(self._alphabet(words), joined, forbidden=self.special)
        ids = pieces.ids
        require_apart(self.special, ids)
        pairs = Pairs(([ids[symbol] for symbol in symbols(word)], count) for word, count in words.counts.items())
        order = ORDERS[self.score](pairs, pieces, self.ties, min_frequency=self.min_frequency)
        yield from merged(pieces, pairs, order, vocab_size, self.special)
        vocab = {piece: id for id, piece in enumerate([*self.special, *pieces.by_id])}
        algorithm = WordPiece(vocab, unknown=self.unknown, continuation=INSIDE)
        return self.tokenizer("wordpiece", algorithm, JoinedWords(INSIDE), _surround(vocab))

    def _alphabet(self, words: Words) -> list[str]:
        """For `frequency` every character may also begin a word, as in Hugging Face tokenizers; otherwise only those that did."""
        marked = {symbol for word in words.counts for symbol in symbols(word)}
        if self.score == "frequency":
            bare = {symbol.removeprefix(INSIDE) if len(symbol) > len(INSIDE) else symbol for symbol in marked}
            found = [*sorted(bare), *sorted(marked - bare)]
        else:
            found = sorted(marked)
        return list(dict.fromkeys([*self.alphabet, *found]))


def symbols(word: str) -> list[str]:
    """The characters of a word, marked where they do not begin it.

    >>> symbols("hug")
    ['h', '##u', '##g']
    """
    return [word[0], *(INSIDE + character for character in word[1:])]


def joined(left: str, right: str) -> str:
    """The piece of two neighbours; only the first keeps its mark."""
    return left + right.removeprefix(INSIDE)


def _surround(vocab: Mapping[str, int]) -> Surround:
    if "[CLS]" not in vocab or "[SEP]" not in vocab:
        return Surround()
    cls, sep = vocab["[CLS]"], vocab["[SEP]"]
    return Surround((cls, "A", sep), (cls, "A", sep, "B", sep))


def build(
    score: Score = "likelihood",
    ties: Ties = "lowest_ids",
    case: Case = "kept",
    min_frequency: int = 1,
    unknown: str = "[UNK]",
    special: tuple[str, ...] = SPECIAL,
    alphabet: tuple[str, ...] = (),
) -> WordPieceTrainer:
    """The trainer. `case` lowered also drops accents, as bert-base-uncased. `alphabet` are pieces (`a`, `##a`) that come first."""
    lowered = case == "lowered"
    return WordPieceTrainer(
        score=score,
        ties=ties,
        min_frequency=min_frequency,
        unknown=unknown,
        special=checked_special(special, unknown),
        alphabet=alphabet,
        normalizers=Stages.same(BertNormalizer(strip_accents=lowered, lowercase=lowered)),
        pretokenizers=Stages.same(BertWords()),
    )


EXAMPLE = dict(score="frequency", case="lowered")
