"""Byte pair encoding: `ByteBpe` over UTF-8 bytes (GPT-2 and later), `CharacterBpe` over characters (SentencePiece: Llama 2, Mistral).

Which neighbours join, and in which order, is a rank of its own: by the piece they make (tiktoken, SentencePiece), or by the pair
(`tokenizer.json`, where the same piece made of other parts may not be listed).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Generic

from isinglass.text.algorithms.base import Algorithm, Placed, S
from isinglass.text.algorithms.linear_bpe import LinearBpe
from isinglass.text.algorithms.merging import NEVER, merge


class Ranks(ABC, Generic[S]):
    """The order of merges."""

    @abstractmethod
    def rank(self, left: S, right: S) -> int:
        """How early two neighbours join; `NEVER` if they do not."""

    @abstractmethod
    def made(self) -> Iterable[S]:
        """All that merges can make."""


@dataclass(frozen=True)
class ByPiece(Ranks[S]):
    """Two neighbours join when what they make has a rank."""

    ranks: Mapping[S, int]

    def rank(self, left: S, right: S) -> int:
        return self.ranks.get(left + right, NEVER)

    def made(self) -> Iterable[S]:
        return self.ranks


@dataclass(frozen=True)
class ByPair(Ranks[S]):
    """Two neighbours join when this very pair has a rank."""

    ranks: Mapping[tuple[S, S], int]

    def rank(self, left: S, right: S) -> int:
        return self.ranks.get((left, right), NEVER)

    def made(self) -> Iterable[S]:
        return (left + right for left, right in self.ranks)


# From so many symbols on the linear form is used. Its tables take up to a second to make and tens of megabytes, so that they pay only
# for the longest of pretokens (a run of one letter, a text without spaces); the heap is no slower for a few thousand symbols.
VERY_LONG = 4096

_BYTES = [bytes([byte]) for byte in range(256)]


class ByteBpe(Algorithm[bytes]):
    """BPE over bytes. `whole` lists the pieces that a pretoken is looked up in before any merging (tiktoken: all of them)."""

    def __init__(self, vocab: Mapping[bytes, int], ranks: Ranks[bytes], *, whole: Mapping[bytes, int] | None = None) -> None:
        self.vocab = vocab
        self.ranks = ranks
        self.whole = {} if whole is None else whole

    def encode(self, word: str) -> tuple[int, ...]:
        raw = word.encode("utf-8")
        known = self.whole.get(raw)
        if known is not None:
            return (known,)
        vocab = self.vocab
        # A byte the vocabulary lacks gives no token, as in the published implementations; byte-level vocabularies lack none.
        return tuple(vocab[part] for part in self.cut(raw) if part in vocab)

    def place(self, word: str) -> list[Placed]:
        raw = word.encode("utf-8")
        known = self.whole.get(raw)
        parts = [raw] if known is not None else self.cut(raw)
        owner = [at for at, character in enumerate(word) for _ in character.encode("utf-8")]
        placed: list[Placed] = []
        end = 0
        for part in parts:
            start, end = end, end + len(part)
            if part in self.vocab:
                placed.append((self.vocab[part], owner[start], owner[end - 1] + 1))
        return placed

    def cut(self, raw: bytes) -> list[bytes]:
        """The pieces that merging makes of some bytes, which need not be whole characters."""
        return self._linear.cut(raw) if len(raw) >= VERY_LONG else merge([_BYTES[byte] for byte in raw], self.ranks.rank)

    @cached_property
    def _linear(self) -> LinearBpe[bytes]:
        return LinearBpe(self.ranks.made(), self.ranks.rank)


class Unknown(ABC):
    """What becomes of a character that the vocabulary lacks."""

    @abstractmethod
    def place(self, text: str) -> list[Placed]:
        """The tokens of a run of unknown characters."""

    @property
    def lost(self) -> frozenset[int]:
        """The ids that do not say which character it was."""
        return frozenset()


@dataclass(frozen=True)
class OneToken(Unknown):
    """One unknown token for the whole run (SentencePiece fuses them so that a decoder can copy the text)."""

    id: int

    @property
    def lost(self) -> frozenset[int]:
        return frozenset({self.id})

    def place(self, text: str) -> list[Placed]:
        return [(self.id, 0, len(text))]


@dataclass(frozen=True)
class TokenEach(Unknown):
    """One unknown token for each character."""

    id: int

    @property
    def lost(self) -> frozenset[int]:
        return frozenset({self.id})

    def place(self, text: str) -> list[Placed]:
        return [(self.id, at, at + 1) for at in range(len(text))]


@dataclass(frozen=True)
class NoToken(Unknown):
    """Nothing: the character is lost."""

    def place(self, text: str) -> list[Placed]:
        return []


@dataclass(frozen=True)
class AsBytes(Unknown):
    """A token `<0xNN>` for each byte of each character; `ids[byte]` is its id."""

    ids: tuple[int, ...]

    def place(self, text: str) -> list[Placed]:
        return [(self.ids[byte], at, at + 1) for at, character in enumerate(text) for byte in character.encode("utf-8")]


def byte_pieces(vocab: Mapping[str, int]) -> tuple[int, ...] | None:
    """The ids of `<0x00>` to `<0xFF>`; None unless all 256 are there."""
    ids = [vocab.get(f"<0x{byte:02X}>", -1) for byte in range(256)]
    return tuple(ids) if min(ids) >= 0 else None


class CharacterBpe(Algorithm[str]):
    """BPE over characters. `apart` are pieces that may not come out of text (control tokens, `<0x0A>`)."""

    def __init__(
        self,
        vocab: Mapping[str, int],
        ranks: Ranks[str],
        unknown: Unknown,
        *,
        apart: Iterable[str] = (),
        whole: Mapping[str, int] | None = None,
    ) -> None:
        self.vocab = vocab
        self.ranks = ranks
        self.unknown = unknown
        self.apart = frozenset(apart)
        self.whole = {} if whole is None else whole

    def cut(self, word: str) -> list[str]:
        """The pieces that merging makes, unknown characters among them."""
        return self._linear.cut(word) if len(word) >= VERY_LONG else merge(list(word), self.ranks.rank)

    @cached_property
    def _linear(self) -> LinearBpe[str]:
        return LinearBpe(self.ranks.made(), self.ranks.rank)

    @cached_property
    def _textual(self) -> dict[str, int]:
        return {piece: id for piece, id in self.vocab.items() if piece not in self.apart}

    @property
    def unknown_ids(self) -> frozenset[int]:
        return self.unknown.lost

    def encode(self, word: str) -> tuple[int, ...]:
        return tuple(id for id, _, _ in self.place(word))

    def place(self, word: str) -> list[Placed]:
        textual = self._textual
        known = self.whole.get(word)
        if known is not None:
            return [(known, 0, len(word))]
        placed: list[Placed] = []
        at = unknown_from = 0
        for part in [*self.cut(word), ""]:
            id = textual.get(part)
            if (id is not None or not part) and unknown_from < at:
                placed += [(each, unknown_from + a, unknown_from + b) for each, a, b in self.unknown.place(word[unknown_from:at])]
            if id is not None:
                placed.append((id, at, at + len(part)))
            at += len(part)
            if id is not None:
                unknown_from = at
        return placed
