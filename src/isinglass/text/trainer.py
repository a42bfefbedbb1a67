"""What a trainer of tokenizers is, and what it reports on the way: the base of the files in `trainers/`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from isinglass.core.errors import ConfigError, DataError
from isinglass.text.algorithms.base import Algorithm
from isinglass.text.decoders import Decoder
from isinglass.text.learning.merges import Order, Pieces, grown
from isinglass.text.learning.pairs import Pairs
from isinglass.text.learning.words import Words
from isinglass.text.normalize import Metaspace
from isinglass.text.pretokenize import MetaspaceWords, Split
from isinglass.text.special import AddedToken
from isinglass.text.surround import Surround
from isinglass.text.tokenizer import Stages, Tokenizer


@dataclass(frozen=True)
class TextRead:
    """So many characters of the corpus were read and their words counted."""

    n_characters: int


@dataclass(frozen=True)
class PiecesLearned:
    """How far learning is: `done` of `total`, in units of the trainer's own (pieces, passes); None when there is no telling."""

    done: int
    total: int | None


@dataclass(frozen=True)
class Trained:
    """The end: the tokenizer."""

    tokenizer: Tokenizer


TokenizerEvent = TextRead | PiecesLearned | Trained
#: Progress on the way, and the tokenizer in the end.
Learning = Generator[PiecesLearned, None, Tokenizer]


@dataclass(frozen=True, kw_only=True)
class Trainer(ABC):
    """Learns a vocabulary from counted words. Equal words in equal order give equal tokenizers: nothing is random.

    `special` tokens take the first ids; `normalizers` and `pretokenizers` make words of text, in training and in the finished tokenizer.
    """

    special: tuple[str, ...]
    normalizers: Stages = field(default_factory=Stages)
    pretokenizers: Stages = field(default_factory=Stages)
    reads_texts: ClassVar[bool] = True

    @abstractmethod
    def learn(self, words: Words, vocab_size: int | None) -> Learning:
        """Learn from words. `vocab_size` counts special tokens too; None: as many pieces as there are."""

    def tokenizer(self, name: str, algorithm: Algorithm[Any], decoder: Decoder, surround: Surround | None = None) -> Tokenizer:
        """The finished tokenizer; special tokens with the usual names begin and end texts."""
        from isinglass.text.formats.tokenizer_json_read import usual_ends

        bos, eos = usual_ends({token: id for id, token in enumerate(self.special)})
        return Tokenizer(
            name,
            algorithm,
            decoder,
            normalizers=self.normalizers,
            pretokenizers=self.pretokenizers,
            added=tuple(AddedToken(token, id) for id, token in enumerate(self.special)),
            surround=surround or Surround(),
            bos_id=bos,
            eos_id=eos,
        )


# What the files of `trainers/` share --------------------------------------------------------------------------------

#: SentencePiece's words: `▁` for a space and one in front of the text, cut before each; and line ends apart, so that no piece crosses them.
SPACE_WORDS = Stages.same(Metaspace(), MetaspaceWords(), Split(r"\n+"))


def checked_special(special: Sequence[str], *needed: str) -> tuple[str, ...]:
    """The special tokens, with those that are needed in front where they are missing. Raises `ConfigError` for doubles and empty ones."""
    tokens = tuple([token for token in needed if token not in special]) + tuple(special)
    for token in tokens:
        if not token or tokens.count(token) > 1:
            raise ConfigError(f"special = {list(special)!r}: {token!r} is {'given twice' if token else 'empty'}")
    return tokens


def require_apart(special: Sequence[str], alphabet: Container[str]) -> None:
    """Raises `ConfigError` for a special token that is also a character of text: one piece cannot have two ids."""
    for token in special:
        if token in alphabet:
            raise ConfigError(f"special = {list(special)!r}: {token!r} is also a piece of the alphabet", hint=f"call it {f'<{token}>'!r}")


def require_words(words: Words) -> None:
    """Raises `DataError` for a corpus without a single word."""
    if not words.counts:
        raise DataError(f"nothing to train on: {words.n_texts:,} texts with {words.n_characters:,} characters hold no word")


def too_large(vocab_size: int, largest: int, why: str) -> ConfigError:
    """The error for a vocabulary that the corpus cannot fill.

    >>> print(too_large(500, 300, "no pair is left to join"))
    vocab_size = 500 is too large for this corpus: the largest possible is 300 (no pair is left to join)
    hint: vocab_size=300, or more text
    """
    message = f"vocab_size = {vocab_size} is too large for this corpus: the largest possible is {largest} ({why})"
    return ConfigError(message, hint=f"vocab_size={largest}, or more text")


def require_room(vocab_size: int | None, least: int, what: str) -> None:
    """Raises `ConfigError` for a vocabulary that cannot even hold what it must."""
    if vocab_size is not None and vocab_size < least:
        raise ConfigError(f"vocab_size = {vocab_size} is too small: {what} take {least}", hint=f"vocab_size={least} or more")


def merged(pieces: Pieces[Any], pairs: Pairs, order: Order, vocab_size: int | None, special: Sequence[str]) -> Iterator[PiecesLearned]:
    """Let the pieces grow by merges until they and the special tokens are `vocab_size`.

    Raises `ConfigError` when the alphabet alone is more, or the pairs run out before.
    """
    extra = len(special)
    require_room(vocab_size, extra + len(pieces), "special tokens and the alphabet")
    for n_pieces in grown(pieces, pairs, order, None if vocab_size is None else vocab_size - extra):
        yield PiecesLearned(n_pieces + extra, vocab_size)
    if vocab_size is not None and len(pieces) + extra < vocab_size:
        least = order.min_frequency
        why = "no pair of pieces is left to join" if least < 2 else f"no pair of pieces is left that occurs {least} times"
        raise too_large(vocab_size, len(pieces) + extra, why)
