"""Special and added tokens: whole strings that stand for one id, found in the text before anything else happens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import regex


@dataclass(frozen=True)
class AddedToken:
    """A string with an id of its own. The fields are those of `tokenizer.json`.

    `special`: control, not text (`</s>`), and skipped by `decode(skip_special=True)`. `lstrip`, `rstrip`: it swallows the white space
    beside it. `single_word`: only found between non-word characters. `normalized`: looked for after normalisation.
    """

    content: str
    id: int
    special: bool = True
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False


@dataclass(frozen=True)
class Found:
    """An added token at `start:end` of a text (white space it swallowed included)."""

    start: int
    end: int
    token: AddedToken


_WORD = regex.compile(r"\w")
_SPACE_BEFORE = regex.compile(r"\p{White_Space}+\Z")
_SPACE_AFTER = regex.compile(r"\p{White_Space}*")


class Finder:
    """Finds added tokens in text, leftmost first, the longest where several start at one place."""

    def __init__(self, tokens: Iterable[AddedToken]) -> None:
        self._by_content = {token.content: token for token in tokens if token.content}
        contents = sorted(self._by_content, key=len, reverse=True)
        self._any = re.compile("|".join(map(re.escape, contents))) if contents else None

    def find(self, text: str) -> Iterator[Found]:
        at = 0
        for match in self._any.finditer(text) if self._any else ():
            token = self._by_content[match.group()]
            start, end = match.span()
            if start < at or (token.single_word and not _alone(text, start, end)):
                continue
            if token.lstrip:
                space = _SPACE_BEFORE.search(text, at, start)
                start = space.start() if space else start
            if token.rstrip:
                space = _SPACE_AFTER.match(text, end)
                end = space.end() if space else end
            yield Found(start, end, token)
            at = end


def _alone(text: str, start: int, end: int) -> bool:
    before = start and _WORD.match(text[start - 1])
    after = end < len(text) and _WORD.match(text[end])
    return not before and not after


def outside(found: Sequence[Found], length: int) -> Iterator[tuple[int, int, AddedToken | None]]:
    """The text between the finds, and the finds: `(start, end, token or None)` covering `length` characters."""
    at = 0
    for one in found:
        if one.start > at:
            yield at, one.start, None
        yield one.start, one.end, one.token
        at = one.end
    if at < length:
        yield at, length, None
