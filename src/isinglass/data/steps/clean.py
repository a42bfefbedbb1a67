"""Clean: one form for equal characters, and nothing that no reader sees.

What: Unicode to NFC, line ends to one form, control and invisible characters out, spaces at line ends and runs of empty lines out; the
licence around a Project Gutenberg book out. A text of which nothing is left is dropped.

Why: Two spellings of one character are two tokens; the licence of every Gutenberg book would be learned by heart.

Math: NFC of the text without the categories Cc, Cf, Cs and Co (line breaks, tabs and the joiners of emoji and scripts stay)

Cost: linear in the text

Used by: every pipeline; GPT-3's, LLaMA's and Dolma's begin with it

Source: Unicode Standard Annex 15 (normalization forms); Project Gutenberg's START and END lines
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from isinglass.data.step import Passed, Refused, TextStep, Verdict

EXAMPLE = dict(gutenberg=True)
_LINE_END = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SPACE_AT_END = re.compile(r"[ \t\xa0]+(?=\n|$)")
_EMPTY_LINES = re.compile(r"\n{3,}")
_GUTENBERG = re.compile(r"^\*\*\* ?(START|END) OF TH(?:E|IS) PROJECT GUTENBERG EBOOK\b.*$", re.MULTILINE | re.IGNORECASE)
# joiners that change how letters and emoji look, and tab and line feed
_KEPT = "\t\n\u200c\u200d"


@dataclass(frozen=True)
class Clean(TextStep):
    """`gutenberg`: whether the text around a Project Gutenberg book goes."""

    gutenberg: bool

    def judge(self, text: str) -> Verdict:
        changes = []
        parts = [("boilerplate", book)] if self.gutenberg else []
        for name, part in (*parts, ("line_ends", _line_ends), ("control_characters", _visible), ("unicode", _nfc), ("whitespace", _spaces)):
            after = part(text)
            if after != text:
                changes.append(f"clean.{name}")
            text = after
        return Passed(text, tuple(changes)) if text else Refused("clean.empty", "nothing is left of it")


def book(text: str) -> str:
    """The text between the START and END lines of Project Gutenberg, or the whole text where there are none."""
    begin, end = 0, len(text)
    for found in _GUTENBERG.finditer(text):
        if found[1].upper() == "START":
            begin = found.end()
        elif found.start() > begin:
            end = found.start()
            break
    return text[begin:end]


def _line_ends(text: str) -> str:
    return _LINE_END.sub("\n", text)


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _visible(text: str) -> str:
    """Without control, format, surrogate and private characters."""
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(char for char in text if char in _KEPT or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co"))


def _spaces(text: str) -> str:
    return _EMPTY_LINES.sub("\n\n", _SPACE_AT_END.sub("", text)).strip()


def build(gutenberg: bool = True) -> Clean:
    """The step; `gutenberg` False leaves the licence of Project Gutenberg in."""
    return Clean(gutenberg)
