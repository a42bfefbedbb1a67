"""`train_tokenizer`: a tokenizer learned from texts, by any algorithm of `trainers/`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from isinglass.core.errors import ConfigError
from isinglass.core.variants import Call, parse
from isinglass.text.learning.words import Words, counting
from isinglass.text.tokenizer import Tokenizer
from isinglass.text.trainer import TextRead, TokenizerEvent, Trained, Trainer
from isinglass.text.trainers import family


def train_tokenizer(algorithm: str | Trainer, texts: Iterable[str], *, vocab_size: int | None = None, **options: Any) -> Tokenizer:
    """Learn a tokenizer from texts.

    `algorithm` is `character`, `word`, `byte`, `bpe`, `wordpiece`, `unigram`, or an expression such as `"bpe(unit='character')"`;
    `options` are its arguments, too (`isinglass explain trainers`). `vocab_size` counts all tokens, special ones included; None takes all
    there is to learn. Texts may be an iterator: they are read once and only the counts of their words are held. The same texts in the
    same order always give the same tokenizer.

    Raises `VariantError` for an unknown algorithm or option, `ConfigError` for a vocabulary that the texts cannot fill (it says the
    largest possible) or that is too small, and `DataError` for texts that are none.

    >>> tokenizer = train_tokenizer("bpe", ["hug hugs", "hugging"], vocab_size=260)
    >>> [token.piece for token in tokenizer.tokens("hug hugs")]
    ['hug', 'Ġ', 'hug', 's']
    >>> tokenizer.decode(tokenizer.encode("any text at all: naïve"))
    'any text at all: naïve'
    """
    for event in training_tokenizer(algorithm, texts, vocab_size=vocab_size, **options):
        if isinstance(event, Trained):
            return event.tokenizer
    raise AssertionError("training always ends with Trained")


def training_tokenizer(
    algorithm: str | Trainer, texts: Iterable[str], *, vocab_size: int | None = None, **options: Any
) -> Iterator[TokenizerEvent]:
    """The same as an iterator, which may be left at any time: `TextRead` and `PiecesLearned` on the way, `Trained` at the end."""
    trainer = _trainer(algorithm, options)
    if vocab_size is not None and vocab_size < 1:
        raise ConfigError(f"vocab_size = {vocab_size!r}: expected at least 1")
    return _events(trainer, texts, vocab_size)


def _events(trainer: Trainer, texts: Iterable[str], vocab_size: int | None) -> Iterator[TokenizerEvent]:
    words = Words()
    if trainer.reads_texts:
        for n_characters in counting(words, texts, (*trainer.normalizers.first, *trainer.pretokenizers.first)):
            yield TextRead(n_characters)
        yield TextRead(words.n_characters)
    tokenizer = yield from trainer.learn(words, vocab_size)
    yield Trained(tokenizer)


def _trainer(algorithm: str | Trainer, options: dict[str, Any]) -> Trainer:
    """The trainer of a name or an expression, with options on top of the arguments that stand in it."""
    if isinstance(algorithm, Trainer):
        if options:
            raise ConfigError(f"options {sorted(options)} belong to the trainer, which is made already")
        return algorithm
    call = parse(algorithm)
    if options and isinstance(call, Call):
        given = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in options.items())
        call = replace(call, kwargs=(*((k, v) for k, v in call.kwargs if k not in options), *given))
    return family.resolve(call, where="algorithm")
