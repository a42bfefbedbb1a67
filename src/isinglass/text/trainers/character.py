"""Character: every character of the corpus is a token.

What: The characters that occur, in order of code point, behind an unknown token for all others.

Why: The smallest vocabulary that still spells text as people see it, and the longest sequences. Nothing but counting is learned.

Math: the `vocab_size` most frequent characters; of equally frequent ones the lower code point

Cost: O(characters) to train and to encode

Used by: character-level language models (Karpathy's char-rnn and nanoGPT on Shakespeare)

Paper: Al-Rfou et al., "Character-Level Language Modeling with Deeper Self-Attention", 2019
"""

from __future__ import annotations

from dataclasses import dataclass

from isinglass.text.algorithms.character import Character
from isinglass.text.decoders import Plain
from isinglass.text.learning.words import Words
from isinglass.text.trainer import Learning, PiecesLearned, Trainer, checked_special, require_apart, require_room, require_words, too_large


@dataclass(frozen=True, kw_only=True)
class CharacterTrainer(Trainer):
    """`unknown` is one of the special tokens."""

    unknown: str

    def learn(self, words: Words, vocab_size: int | None) -> Learning:
        require_words(words)
        require_room(vocab_size, len(self.special) + 1, "special tokens and one character")
        counts = words.characters()
        require_apart(self.special, counts)
        found = sorted(counts, key=lambda character: (-counts[character], character))
        room = len(found) if vocab_size is None else vocab_size - len(self.special)
        if room > len(found):
            raise too_large(room + len(self.special), len(found) + len(self.special), f"{len(found)} characters occur")
        pieces = [*self.special, *sorted(found[:room])]
        yield PiecesLearned(len(pieces), len(pieces))
        vocab = {piece: id for id, piece in enumerate(pieces)}
        return self.tokenizer("character", Character(vocab, vocab[self.unknown], apart=self.special), Plain())


def build(unknown: str = "<unk>", special: tuple[str, ...] = ()) -> CharacterTrainer:
    """The trainer; `unknown` stands for characters outside of the vocabulary, `special` tokens take the first ids."""
    return CharacterTrainer(unknown=unknown, special=checked_special(special, unknown))


EXAMPLE = dict(special=("<unk>", "</s>"))
