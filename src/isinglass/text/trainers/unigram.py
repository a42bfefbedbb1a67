"""Unigram: pieces with probabilities, so that the likeliest cut of each word is found, not built up.

What: Begins with all substrings that repeat, and drops those that matter least until the vocabulary is as small as wanted. Spaces are
written `▁`; characters that did not occur become the unknown token.

Why: Pieces are judged by what the whole corpus loses without them, not by one greedy merge after another; and a text has many cuts with
known probabilities, from which one can sample. From the same seeds SentencePiece learns nearly the same pieces, with a loss at most
about 1 % higher. Its own seeds lack words that are always followed by a space ("▁unto" in the Bible); ours have them, and the loss is
9 % lower.

Math: `P(text) = sum over cuts of product P(piece)`, maximised by expectation maximisation; loss of a piece = log-likelihood of the
corpus with it - with its best cut in its place

Cost: a few dozen passes over all pieces in the distinct words, in numpy; 64 bytes per character of the distinct words

Used by: T5, mT5, ALBERT, XLNet

Paper: Kudo, "Subword Regularization", 2018
"""

from __future__ import annotations

from dataclasses import dataclass

from isinglass.text.algorithms.bpe import OneToken
from isinglass.text.algorithms.unigram import Unigram
from isinglass.text.decoders import Spaces
from isinglass.text.learning.expectation import Weighed
from isinglass.text.learning.substrings import Spelling, candidates
from isinglass.text.learning.words import Words
from isinglass.text.trainer import (
    SPACE_WORDS,
    Learning,
    PiecesLearned,
    Trainer,
    checked_special,
    require_apart,
    require_room,
    require_words,
    too_large,
)

SEEDS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class UnigramTrainer(Trainer):
    """`seeds` is how many substrings it begins with, at most."""

    unknown: str
    seeds: int

    def learn(self, words: Words, vocab_size: int | None) -> Learning:
        require_words(words)
        weighed = Weighed(candidates(Spelling.of(words.counts), most=self.seeds))
        require_apart(self.special, weighed.candidates.spelling.alphabet)
        extra = len(self.special)
        n_characters = int((weighed.candidates.length == 1).sum())
        require_room(vocab_size, extra + n_characters, "special tokens and the characters")
        size = len(weighed) if vocab_size is None else vocab_size - extra
        if size > len(weighed):
            raise too_large(size + extra, len(weighed) + extra, "no other substrings repeat")
        for done, total in weighed.shrinking(size):
            yield PiecesLearned(done, total)
        found = sorted(zip(weighed.scores.tolist(), weighed.candidates.pieces(), strict=True), key=lambda one: (-one[0], one[1]))
        pieces = [*self.special, *(piece for _, piece in found)]
        vocab = {piece: id for id, piece in enumerate(pieces)}
        scores = [0.0] * extra + [score for score, _ in found]
        algorithm = Unigram(vocab, scores, OneToken(vocab[self.unknown]), apart=self.special)
        return self.tokenizer("unigram", algorithm, Spaces())


def build(unknown: str = "<unk>", special: tuple[str, ...] = ("<unk>", "<s>", "</s>"), seeds: int = SEEDS) -> UnigramTrainer:
    """The trainer; `special` tokens take the first ids, `seeds` is how many substrings to begin with, at most."""
    return UnigramTrainer(unknown=unknown, seeds=seeds, special=checked_special(special, unknown), pretokenizers=SPACE_WORDS)


EXAMPLE = dict(seeds=10_000)
