"""`Tokenizer`: text to ids and back, whatever the vocabulary.

The way of a text: added tokens are found, the rest is normalised, cut into pretokens, and each pretoken is cut by the algorithm.

    "Hello, <|im_end|>" -> ["Hello, ", <|im_end|>] -> ["Hello", ",", " "] -> [19556, 28, 216, 2]
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from isinglass.core.errors import TokenizerError
from isinglass.text.algorithms.base import Algorithm
from isinglass.text.aligned import Aligned
from isinglass.text.cache import PretokenCache
from isinglass.text.decoders import Decoder
from isinglass.text.normalize import Normalizer, repair_surrogates
from isinglass.text.pretokenize import Pretokenizer
from isinglass.text.special import AddedToken, Finder, Found, outside
from isinglass.text.stream import StreamDecoder
from isinglass.text.surround import Surround

Special = Literal["text", "parse", "error"]
Stage = Normalizer | Pretokenizer


class Token(NamedTuple):
    """One token of a text: its id, its piece as vocabulary files write it, and the characters `text[start:end]` it covers."""

    id: int
    piece: str
    start: int
    end: int


class Pretoken(NamedTuple):
    """What the algorithm is given at once: the normalised form of `text[start:end]`; or an added token, which it never sees."""

    text: str
    start: int
    end: int
    added: AddedToken | None


@dataclass(frozen=True)
class Stages:
    """What happens to text between added tokens, in order. `inner` replaces `first` for text that does not start the input."""

    first: tuple[Stage, ...] = ()
    inner: tuple[Stage, ...] = ()

    @classmethod
    def same(cls, *stages: Stage) -> Stages:
        """The same stages everywhere."""
        return cls(stages, stages)


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """An immutable value; share it between threads freely. `load.tokenizer` makes one from a name or a file.

    >>> from isinglass.text.load import tokenizer
    >>> gpt2 = tokenizer("gpt2")
    >>> gpt2.encode("Hello, world!")
    [15496, 11, 995, 0]
    >>> gpt2.decode([15496, 11])
    'Hello,'
    """

    name: str
    algorithm: Algorithm[bytes] | Algorithm[str]
    decoder: Decoder
    normalizers: Stages = Stages()
    pretokenizers: Stages = Stages()
    added: tuple[AddedToken, ...] = ()
    surround: Surround = field(default_factory=Surround)
    bos_id: int | None = None
    eos_id: int | None = None
    chat_template: str | None = None
    _cache: PretokenCache[tuple[int, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cache", PretokenCache(self.algorithm.encode))

    # What it knows ------------------------------------------------------------------------------------------------

    @cached_property
    def special(self) -> MappingProxyType[str, int]:
        """Special tokens by name, read-only."""
        return MappingProxyType({token.content: token.id for token in self.added if token.special})

    @cached_property
    def vocab_size(self) -> int:
        """One more than the highest id: how many logits a model needs."""
        return 1 + max(chain(self.algorithm.vocab.values(), (token.id for token in self.added)), default=-1)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides the ids: equal fingerprints, equal ids. The name and the chat template do not count."""
        digest = hashlib.sha256()
        for symbol, id in sorted(self.algorithm.vocab.items(), key=lambda item: item[1]):
            digest.update(b"%d\0" % id + (symbol if isinstance(symbol, bytes) else symbol.encode("utf-8")) + b"\0")
        rules = (type(self.algorithm).__name__, self.normalizers, self.pretokenizers, self.decoder, self.added, self.surround)
        digest.update(repr(rules).encode("utf-8"))
        return digest.hexdigest()[:16]

    def piece(self, id: int) -> str:
        """A token as vocabulary files write it: `Ġworld`, `▁world`, `##ing`, `<|endoftext|>`."""
        return self.decoder.piece_of(self._symbol(id))

    def token_bytes(self, id: int) -> bytes:
        """The bytes a token adds to a text that has begun; for WordPiece the space before a word is among them."""
        self._symbol(id)
        return self._bytes[id]

    def first_bytes(self, id: int) -> bytes:
        """The bytes a token adds at the start of a text, where some decoders drop a space."""
        return self.decoder.bytes_of(self._symbol(id), first=True)

    @cached_property
    def _symbols(self) -> list[bytes | str | None]:
        symbols: list[bytes | str | None] = [None] * self.vocab_size
        for symbol, id in self.algorithm.vocab.items():
            symbols[id] = symbol
        for token in self.added:
            symbols[token.id] = token.content
        return symbols

    @cached_property
    def _bytes(self) -> list[bytes]:
        bytes_of = self.decoder.bytes_of
        return [b"" if symbol is None else bytes_of(symbol, first=False) for symbol in self._symbols]

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        return frozenset(self.special.values())

    def _symbol(self, id: int) -> bytes | str:
        symbol = self._symbols[id] if 0 <= id < self.vocab_size else None
        if symbol is None:
            reason = f"expected 0 to {self.vocab_size - 1}" if not 0 <= id < self.vocab_size else "the vocabulary leaves this id unused"
            raise TokenizerError(f"token id {id!r} is not in the vocabulary of {self.name!r}: {reason}")
        return symbol

    # Text to ids --------------------------------------------------------------------------------------------------

    def encode(self, text: str, *, pair: str | None = None, special: Special = "text", add_special: bool = False) -> list[int]:
        """The ids of a text, and of a second one behind it.

        `special` says what a special string such as `<|endoftext|>` inside the text is: `"text"` (harmless, the default), `"parse"`
        (its id; for text you wrote yourself) or `"error"` (`TokenizerError` with its offset). `add_special` puts the model's own
        special tokens around (`[CLS] ... [SEP]`). Halves of surrogate pairs, which cannot be encoded, count as U+FFFD.
        """
        ids = {"A": self._ids(text, special), "B": [] if pair is None else self._ids(pair, special)}
        if not add_special:
            return ids["A"] + ids["B"]
        slots = self.surround.slots(two=pair is not None)
        return list(chain.from_iterable([slot] if isinstance(slot, int) else ids[slot] for slot in slots))

    def count(self, text: str, *, special: Special = "text") -> int:
        """How many tokens a text has; quicker than `len(encode(text))`."""
        lengths = (1 if token else self._count(part, first, special) for part, token, first in self._parts(text, special))
        return sum(lengths)

    def tokens(self, text: str, *, pair: str | None = None, special: Special = "text", add_special: bool = False) -> list[Token]:
        """The tokens of `encode` with their places in the original text (in their own text, for a pair).

        `text[start:end]` is what a token covers. A character that several tokens share is reported whole by each; a token that was
        added around the text, or a space put in front of it, covers nothing.
        """
        texts = {"A": text, "B": pair or ""}
        slots = list(self.surround.slots(two=pair is not None)) if add_special else ["A", "B"]
        tokens: list[Token] = []
        at = 0
        for slot in slots:
            if isinstance(slot, int):
                tokens.append(Token(slot, self.piece(slot), at, at))
            else:
                tokens += self._tokens(texts[slot], special)
                at = len(texts[slot])
        return tokens

    def pretokens(self, text: str, *, special: Special = "text") -> list[Pretoken]:
        """The text as the algorithm sees it: normalised and cut, with the added tokens that were found.

        >>> from isinglass.text.load import tokenizer
        >>> [one.text for one in tokenizer("gpt2").pretokens("Hello, world!")]
        ['Hello', ',', ' world', '!']
        """
        whole = Aligned.whole(text) if _sound(text) is text else repair_surrogates(text)
        pretokens: list[Pretoken] = []
        for start, end, token in outside(self._found(whole.text, special), len(whole.text)):
            part, first = whole.cut(start, end), start == 0
            for inner, added in [(part, token)] if token else self._normal_parts(part, first, special):
                words = [inner] if added else self._words(inner, first)
                pretokens += [Pretoken(word.text, *word.span(0, len(word.text)), added) for word in words]
        return pretokens

    def encode_parts(self, parts: Iterable[tuple[str, bool]]) -> list[int]:
        """The ids of `(text, trusted)` parts joined to one text, with special strings parsed in trusted parts only.

        For prompts that mix one's own control tokens with a user's words: `[("<|im_start|>user\\n", True), (question, False)]`.
        """
        texts: list[str] = []
        finds: list[Found] = []
        at = 0
        for text, trusted in parts:
            text = _sound(text)
            finder = self._finders["parse" if trusted else "text"]
            finds += [Found(at + one.start, at + one.end, one.token) for one in finder.find(text)]
            texts.append(text)
            at += len(text)
        whole = "".join(texts)
        return self._flatten((whole[start:end], token, start == 0) for start, end, token in outside(finds, len(whole)))

    @cached_property
    def _finders(self) -> dict[str, Finder]:
        """Finders in raw text: for all tokens, and for those that are no control tokens (these are found always)."""
        raw = [token for token in self.added if not token.normalized]
        return {"parse": Finder(raw), "text": Finder(token for token in raw if not token.special)}

    @cached_property
    def _late_finders(self) -> dict[str, Finder] | None:
        """Finders in normalised text; None when no token asks for it."""
        late = [token for token in self.added if token.normalized]
        return {"parse": Finder(late), "text": Finder(token for token in late if not token.special)} if late else None

    def _parts(self, text: str, special: Special) -> Iterator[tuple[str, AddedToken | None, bool]]:
        """The text between added tokens, and the tokens: (text, token or None, starts the input)."""
        text = _sound(text)
        for start, end, token in outside(self._found(text, special), len(text)):
            yield text[start:end], token, start == 0

    def _found(self, text: str, special: Special) -> list[Found]:
        if special not in ("text", "parse", "error"):
            raise TokenizerError(f"special={special!r} is not known: expected 'text', 'parse' or 'error'")
        if special != "error":
            return list(self._finders[special].find(text)) if self.added else []
        found = list(self._finders["parse"].find(text))
        for one in found:
            if one.token.special:
                raise TokenizerError(
                    f"special token {one.token.content!r} at offset {one.start} of the text",
                    hint="encode(..., special='text') takes it as plain text, special='parse' as a control token",
                )
        return found

    def _ids(self, text: str, special: Special) -> list[int]:
        if not self.added:
            return self._plain(_sound(text), True, special)
        return self._flatten(self._parts(text, special), special)

    def _flatten(self, parts: Iterable[tuple[str, AddedToken | None, bool]], special: Special = "text") -> list[int]:
        ids: list[int] = []
        for text, token, first in parts:
            ids += [token.id] if token else self._plain(text, first, special)
        return ids

    def _plain(self, text: str, first: bool, special: Special = "text") -> list[int]:
        """The ids of text without (raw) added tokens: the quick way, without places."""
        if self._late_finders is not None:
            return [id for id, _, _ in self._placed(Aligned.whole(text), first, special)]
        words = self._pretokens(text, first)
        if self.algorithm.depend(words):
            return [id for placed in self.algorithm.place_all(words) for id, _, _ in placed]
        return list(chain.from_iterable(map(self._cache.__getitem__, words)))

    def _count(self, text: str, first: bool, special: Special) -> int:
        if self._late_finders is not None:
            return len(self._plain(text, first, special))
        words = self._pretokens(text, first)
        if self.algorithm.depend(words):
            return sum(map(len, self.algorithm.place_all(words)))
        return sum(map(len, map(self._cache.__getitem__, words)))

    def _pretokens(self, text: str, first: bool) -> list[str]:
        words = [text]
        for stages in (self.normalizers, self.pretokenizers):
            for stage in stages.first if first else stages.inner:
                if isinstance(stage, Normalizer):
                    words = [stage.apply(word) for word in words]
                else:
                    words = stage.split(words[0]) if len(words) == 1 else list(chain.from_iterable(map(stage.split, words)))
        return words

    # Text to tokens with places -----------------------------------------------------------------------------------

    def _tokens(self, text: str, special: Special) -> list[Token]:
        whole = Aligned.whole(text) if _sound(text) is text else repair_surrogates(text)
        tokens: list[Token] = []
        for start, end, token in outside(self._found(whole.text, special), len(whole.text)):
            if token:
                tokens.append(Token(token.id, token.content, *whole.span(start, end)))
            else:
                placed = self._placed(whole.cut(start, end), start == 0, special)
                tokens += [Token(id, self.piece(id), low, high) for id, low, high in placed]
        return tokens

    def _placed(self, text: Aligned, first: bool, special: Special) -> Iterator[tuple[int, int, int]]:
        for part, token in self._normal_parts(text, first, special):
            if token:
                yield token.id, *part.span(0, len(part.text))
            else:
                yield from self._pieces(part, first)

    def _normal_parts(self, text: Aligned, first: bool, special: Special) -> Iterator[tuple[Aligned, AddedToken | None]]:
        """The normalised text, and the added tokens that are looked for in it."""
        normal = [text]
        for stage in self.normalizers.first if first else self.normalizers.inner:
            normal = list(_staged(stage, normal))
        finder = self._late_finders["text" if special == "text" else "parse"] if self._late_finders else Finder(())
        for piece in normal:
            for start, end, token in outside(list(finder.find(piece.text)), len(piece.text)):
                yield piece.cut(start, end), token

    def _pieces(self, text: Aligned, first: bool) -> Iterator[tuple[int, int, int]]:
        words = self._words(text, first)
        for word, placed in zip(words, self.algorithm.place_all([word.text for word in words]), strict=True):
            for id, start, end in placed:
                yield id, *word.span(start, end)

    def _words(self, text: Aligned, first: bool) -> list[Aligned]:
        words = [text]
        for stage in self.pretokenizers.first if first else self.pretokenizers.inner:
            words = list(_staged(stage, words))
        return words

    # Ids to text --------------------------------------------------------------------------------------------------

    def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
        """The text of some ids; bytes that are no UTF-8 become U+FFFD. `skip_special` leaves control tokens out."""
        table, size = self._bytes, self.vocab_size
        ids = [id for id in ids if id not in self._special_ids] if skip_special else list(ids)
        if ids and not (min(ids) >= 0 and max(ids) < size):
            self._symbol(min(ids) if min(ids) < 0 else max(ids))
        parts = [table[id] for id in ids]
        for at, part in enumerate(parts):
            if not part:
                self._symbol(ids[at])
        # The first token that says anything is the one that may have been given a space.
        for at, id in enumerate(ids):
            parts[at] = self.first_bytes(id)
            if table[id]:
                break
        return b"".join(parts).decode("utf-8", "replace")

    def stream(self, *, skip_special: bool = False) -> StreamDecoder:
        """A decoder that is fed one id after another and gives text as soon as its characters are complete."""
        return StreamDecoder(self, skip=self._special_ids if skip_special else frozenset())

    # To disk ------------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> Path:
        """Write `folder/tokenizer.json` in the format of Hugging Face `tokenizers` and return its path; whole or not at all."""
        from isinglass.text.formats.tokenizer_json_write import save

        return save(self, Path(folder))


def _staged(stage: Stage, texts: Iterable[Aligned]) -> Iterator[Aligned]:
    for text in texts:
        if isinstance(stage, Normalizer):
            yield stage.align(text)
        else:
            yield from (text.cut(start, end) for start, end in stage.spans(text.text))


def _sound(text: str) -> str:
    """The text without halves of surrogate pairs; the same object when there are none."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return repair_surrogates(text).text
    return text
