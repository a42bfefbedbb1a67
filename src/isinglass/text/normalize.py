"""Normalisers: rewriting text before it is cut. Each gives the rewritten text, and the edits that say which characters became which.

The kinds are those that `tokenizer.json` files use. `charsmap.py` holds SentencePiece's own.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import regex

from isinglass.text.aligned import Aligned

Edit = tuple[int, int, str]


class Normalizer(ABC):
    """Text to text. `apply` is the quick form; `edits` covers the same text piece by piece and must spell the same result."""

    @abstractmethod
    def apply(self, text: str) -> str:
        """The rewritten text."""

    @abstractmethod
    def edits(self, text: str) -> Iterator[Edit]:
        """`(start, end, new)` for stretches that cover the text in order."""

    def align(self, aligned: Aligned) -> Aligned:
        """The rewritten text with its places in the original."""
        return aligned.rewrite(self.edits(aligned.text))


# Printable ASCII with no mark behind it, Hangul letters that may join, or a character with its marks: no normal form reaches across these.
_CLUSTER = regex.compile(r"[ -~]+(?=[ -~]|\Z)|[\uAC00-\uD7A3][\u11A8-\u11FF]+|[\u1100-\u11FF]+|(?s:.)\p{M}*")


class Characterwise(Normalizer):
    """A rewriting that never looks beyond one user-perceived character, so it can be aligned by doing them one at a time."""

    def edits(self, text: str) -> Iterator[Edit]:
        edits = [(found.start(), found.end(), self.apply(found.group())) for found in _CLUSTER.finditer(text)]
        whole = self.apply(text)
        # Marks that reorder across such a border are not known to us; if they exist, one coarse span is still right.
        same = "".join(new for _, _, new in edits) == whole
        return iter(edits if same else [(0, len(text), whole)])


@dataclass(frozen=True)
class Form(Characterwise):
    """A Unicode normalisation form (UAX #15)."""

    form: Literal["NFC", "NFD", "NFKC", "NFKD"]

    def apply(self, text: str) -> str:
        return unicodedata.normalize(self.form, text)


@dataclass(frozen=True)
class Lowercase(Characterwise):
    """Lower case, letter by letter: a capital sigma gives σ at the end of a word too, as in Rust and ICU's simple mapping."""

    def apply(self, text: str) -> str:
        return text.replace("Σ", "σ").lower()


_MARKS = regex.compile(r"\p{Mn}+")


@dataclass(frozen=True)
class StripAccents(Characterwise):
    """Removes nonspacing marks; letters lose their accents only when they are decomposed (NFD) before."""

    def apply(self, text: str) -> str:
        return text if text.isascii() else _MARKS.sub("", text)


_CONTROLS = regex.compile(r"[\0\uFFFD]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}]")
_SPACES = regex.compile(r"\p{White_Space}")
# The CJK blocks that BERT's authors listed; U+2B820..U+2B91F is missing in the implementation everybody uses.
_IDEOGRAPHS = re.compile(
    "([\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f"
    "\U0002b920-\U0002ceaf\U0002f800-\U0002fa1f])"
)
_ASCII_CLEAN = {**dict.fromkeys([*range(32), 127]), 9: " ", 10: " ", 13: " "}


@dataclass(frozen=True)
class BertNormalizer(Characterwise):
    """BERT's cleaning: control characters go, white space becomes spaces, ideographs stand alone, accents and case are dropped.

    Devlin et al., "BERT", 2019, appendix A.2 and the published `BasicTokenizer`.
    """

    clean: bool = True
    separate_ideographs: bool = True
    strip_accents: bool = True
    lowercase: bool = True

    def apply(self, text: str) -> str:
        if text.isascii():
            text = text.translate(_ASCII_CLEAN) if self.clean else text
            return text.lower() if self.lowercase else text
        if self.clean:
            text = _SPACES.sub(" ", _CONTROLS.sub("", text))
        if self.separate_ideographs:
            text = _IDEOGRAPHS.sub(r" \1 ", text)
        if self.strip_accents:
            text = _MARKS.sub("", unicodedata.normalize("NFD", text))
        return text.replace("Σ", "σ").lower() if self.lowercase else text


@dataclass(frozen=True)
class Replace(Normalizer):
    """Every match of a pattern becomes `content`."""

    pattern: str
    content: str

    @cached_property
    def _compiled(self) -> regex.Pattern[str]:
        return regex.compile(self.pattern)

    @cached_property
    def _literal(self) -> str | None:
        plain = self.pattern
        return plain if (len(plain) == 1 and regex.escape(plain) == plain) or plain == " " else None

    def apply(self, text: str) -> str:
        if self._literal is not None:
            return text.replace(self._literal, self.content)
        content = self.content
        return self._compiled.sub(lambda _: content, text)

    def edits(self, text: str) -> Iterator[Edit]:
        at = 0
        for found in self._compiled.finditer(text):
            if found.start() > at:
                yield at, found.start(), text[at : found.start()]
            yield found.start(), found.end(), self.content
            at = found.end()
        if at < len(text):
            yield at, len(text), text[at:]


@dataclass(frozen=True)
class Prepend(Normalizer):
    """Puts `content` before a text that is not empty."""

    content: str

    def apply(self, text: str) -> str:
        return self.content + text if text else text

    def edits(self, text: str) -> Iterator[Edit]:
        if text:
            yield 0, 0, self.content
            yield 0, len(text), text


@dataclass(frozen=True)
class SpaceInFront(Normalizer):
    """Puts a space before a text that does not begin with white space (the `add_prefix_space` of byte-level vocabularies)."""

    def apply(self, text: str) -> str:
        return " " + text if text and not regex.match(r"\p{White_Space}", text) else text

    def edits(self, text: str) -> Iterator[Edit]:
        if self.apply(text) != text:
            yield 0, 0, " "
        yield 0, len(text), text


@dataclass(frozen=True)
class Metaspace(Normalizer):
    """Writes `symbol` for every space, and one in front of a text that has none there, unless `scheme` is "never".

    `scheme="first"` does so only at the start of the input; `inner` gives the form for text further on.
    """

    symbol: str = "▁"
    scheme: Literal["always", "first", "never"] = "always"

    def apply(self, text: str) -> str:
        text = text.replace(" ", self.symbol)
        return self.symbol + text if self.scheme != "never" and text and not text.startswith(self.symbol) else text

    def edits(self, text: str) -> Iterator[Edit]:
        new = self.apply(text)
        if len(new) > len(text):
            yield 0, 0, self.symbol
        yield 0, len(text), new[len(new) - len(text) :]

    @property
    def inner(self) -> Metaspace:
        return Metaspace(self.symbol, "never") if self.scheme == "first" else self


@dataclass(frozen=True)
class Strip(Normalizer):
    """Removes white space at the ends."""

    left: bool = True
    right: bool = True

    def apply(self, text: str) -> str:
        return "".join(new for _, _, new in self.edits(text))

    def edits(self, text: str) -> Iterator[Edit]:
        start = regex.match(r"\p{White_Space}*", text).end() if self.left else 0  # type: ignore[union-attr]
        end = len(text)
        while self.right and end > start and regex.match(r"\p{White_Space}", text[end - 1]):
            end -= 1
        yield 0, start, ""
        yield start, end, text[start:end]
        yield end, len(text), ""


_SURROGATE = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]")


def repair_surrogates(text: str) -> Aligned:
    """A str may hold halves of UTF-16 pairs, which cannot be encoded: pairs are joined, lone halves become U+FFFD, as in tiktoken."""
    edits: list[Edit] = []
    at = 0
    for found in _SURROGATE.finditer(text):
        edits += [(at, found.start(), text[at : found.start()])] if found.start() > at else []
        edits.append((*found.span(), found.group().encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")))
        at = found.end()
    return Aligned.whole(text).rewrite([*edits, (at, len(text), text[at:])])
