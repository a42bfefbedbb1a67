"""Speed of tokenizers beside tiktoken and Hugging Face `tokenizers`: the same vocabulary and text, in one process, in turn.

What is measured is warm: everybody has seen the text once, so what each remembers of pretokens counts. The ratio of a round holds when the
machine's speed drifts between rounds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from isinglass.core.errors import ExtraMissing
from isinglass.text.algorithms.bpe import ByteBpe
from isinglass.text.load import tokenizer
from isinglass.text.pretokenize import Matches
from isinglass.text.tokenizer import Tokenizer
from isinglass.text.training import train_tokenizer

Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class Timed:
    """Seconds of ours and of another's, one number per round, measured in turn."""

    what: str
    beside: str
    equal: bool
    ours_seconds: list[float] = field(default_factory=list)
    theirs_seconds: list[float] = field(default_factory=list)

    def ratios(self) -> list[float]:
        """How many times as fast as theirs ours was, round by round."""
        return [theirs / ours for ours, theirs in zip(self.ours_seconds, self.theirs_seconds, strict=True)]

    def row(self) -> dict[str, Any]:
        """Medians over the rounds, and the median of their ratios."""
        ratios = self.ratios()
        return {
            "what": self.what,
            "beside": self.beside,
            "ours_seconds": statistics.median(self.ours_seconds),
            "theirs_seconds": statistics.median(self.theirs_seconds),
            "ratio": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
            "equal ids": self.equal,
        }


def encoding_row(timed: Timed, n_bytes: int) -> dict[str, Any]:
    """A row of encoding, with megabytes (10**6 bytes of UTF-8) per second in the place of seconds."""
    row = timed.row()
    ours, theirs = (n_bytes / 1e6 / row.pop(name) for name in ("ours_seconds", "theirs_seconds"))
    return {"tokenizer": row.pop("what"), "beside": row.pop("beside"), "ours MB/s": ours, "theirs MB/s": theirs, **row}


def compare_encoding(names: list[str], text: str, *, rounds: int) -> Iterator[Timed]:
    """Yield one result for each tokenizer and library that can read it. Raises ExtraMissing without tiktoken or tokenizers."""
    for name in names:
        ours = tokenizer(name)
        others = {"tokenizers": _in_tokenizers(ours)} | ({"tiktoken": _in_tiktoken(ours)} if _is_ranked(ours) else {})
        for beside, theirs in others.items():
            timed = Timed(name, beside, ours.encode(text) == theirs(text))
            _measure(timed, lambda ours=ours: ours.encode(text), lambda theirs=theirs: theirs(text), rounds)
            yield timed


def compare_training(texts: list[str], vocab_size: int, *, rounds: int) -> Timed:
    """Byte-level BPE learned from the same texts, counting words included."""

    def ours() -> dict[str, int]:
        trained = train_tokenizer("bpe", texts, vocab_size=vocab_size)
        return {trained.piece(id): id for id in range(trained.vocab_size)}

    def theirs() -> dict[str, int]:
        return _train_in_tokenizers(texts, vocab_size)

    timed = Timed(f"byte-level BPE, {vocab_size:,} tokens", "tokenizers", ours() == theirs())
    _measure(timed, ours, theirs, rounds)
    return timed


def _measure(timed: Timed, ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> None:
    for _ in range(rounds):
        timed.ours_seconds.append(_seconds(ours))
        timed.theirs_seconds.append(_seconds(theirs))


def _seconds(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _is_ranked(ours: Tokenizer) -> bool:
    """Can tiktoken have it? A pattern, and bytes whose ids are their ranks."""
    stages = ours.pretokenizers.first
    return isinstance(ours.algorithm, ByteBpe) and bool(ours.algorithm.whole) and len(stages) == 1 and isinstance(stages[0], Matches)


def _in_tiktoken(ours: Tokenizer) -> Encode:
    try:
        import tiktoken
    except ImportError:
        raise ExtraMissing("tiktoken", "test") from None
    pattern = ours.pretokenizers.first[0].pattern  # type: ignore[union-attr] # `_is_ranked` has seen to it
    ranks = {bytes(piece): id for piece, id in ours.algorithm.vocab.items()}  # type: ignore[arg-type]
    return tiktoken.Encoding(ours.name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={}).encode_ordinary


def _in_tokenizers(ours: Tokenizer) -> Encode:
    library = _tokenizers()
    with tempfile.TemporaryDirectory() as folder:
        theirs = library.Tokenizer.from_file(str(ours.save(folder)))
    return lambda text: theirs.encode(text, add_special_tokens=False).ids


def _train_in_tokenizers(texts: list[str], vocab_size: int) -> dict[str, int]:
    library = _tokenizers()
    theirs = library.Tokenizer(library.models.BPE())
    byte_level = library.pre_tokenizers.ByteLevel
    theirs.pre_tokenizer = byte_level(add_prefix_space=False)
    trainer = library.trainers.BpeTrainer(vocab_size=vocab_size, show_progress=False, initial_alphabet=byte_level.alphabet())
    theirs.train_from_iterator(texts, trainer)
    return theirs.get_vocab()


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise ExtraMissing("tokenizers", "test") from None
    return tokenizers
