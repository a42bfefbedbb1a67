"""Word: every word that occurs is a token.

What: The most frequent words, and an unknown token for all others. Punctuation stands alone.

Why: Sequences are short, and every token means something. But a vocabulary is never complete, and "hug" and "hugs" are strangers.

Math: the `vocab_size` most frequent words; of equally frequent ones the first in order of characters

Cost: O(characters) to train and to encode; the embeddings are what is large

Used by: word2vec, GloVe, and language models before 2016

Paper: Bengio et al., "A Neural Probabilistic Language Model", 2003
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from isinglass.text.algorithms.word import Word
from isinglass.text.decoders import Decoder, Joined, Plain
from isinglass.text.learning.words import Words
from isinglass.text.patterns import GPT2
from isinglass.text.pretokenize import Matches
from isinglass.text.tokenizer import Stages
from isinglass.text.trainer import Learning, PiecesLearned, Trainer, checked_special, require_room, require_words, too_large

WORDS = r"\w+|[^\w\s]+"
Spaces = Literal["dropped", "kept"]


@dataclass(frozen=True, kw_only=True)
class WordTrainer(Trainer):
    """`decoder` puts a space between words, or nothing where words have kept theirs."""

    decoder: Decoder
    unknown: str
    min_frequency: int

    def learn(self, words: Words, vocab_size: int | None) -> Learning:
        require_words(words)
        require_room(vocab_size, len(self.special) + 1, "special tokens and one word")
        counts = words.counts
        known = [word for word in counts if counts[word] >= self.min_frequency and word not in self.special]
        room = len(known) if vocab_size is None else vocab_size - len(self.special)
        if room > len(known):
            why = f"{len(known)} words occur at least {self.min_frequency} times" if self.min_frequency > 1 else f"{len(known)} words occur"
            raise too_large(room + len(self.special), len(known) + len(self.special), why)
        pieces = [*self.special, *sorted(known, key=lambda word: (-counts[word], word))[:room]]
        yield PiecesLearned(len(pieces), len(pieces))
        algorithm = Word({piece: id for id, piece in enumerate(pieces)}, unknown=self.unknown)
        return self.tokenizer("word", algorithm, self.decoder)


def build(spaces: Spaces = "dropped", min_frequency: int = 1, unknown: str = "<unk>", special: tuple[str, ...] = ()) -> WordTrainer:
    """The trainer. `spaces`: dropped, so that decoding puts one between words, or kept in front of their word, so that known words
    come back exactly. Words below `min_frequency` are unknown."""
    pattern, decoder = (WORDS, Joined()) if spaces == "dropped" else (GPT2, Plain())
    return WordTrainer(
        decoder=decoder,
        unknown=unknown,
        min_frequency=min_frequency,
        special=checked_special(special, unknown),
        pretokenizers=Stages.same(Matches(pattern)),
    )


EXAMPLE = dict(spaces="kept", min_frequency=2)
