"""Sources: what a file holds, where each record came from, and what is said when it cannot be read."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from isinglass.core.errors import ConfigError, DataError
from isinglass.data.bible import BOOKS
from isinglass.data.sources import read

SMS = Path(__file__).parents[3] / "shared" / "facts" / "data" / "sms_spam.tsv"


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def found(source, **options) -> list[tuple[dict, str]]:
    """Fields and the place without the folder."""
    return [(dict(record.fields), record.place.rpartition("/")[2]) for record in read(source, **options)]


def test_text_by_file_paragraph_and_line(tmp_path):
    path = write(tmp_path / "a.txt", "\ufeffone\ntwo\n\n\n  \nthree\r\n")
    assert found(path) == [({"text": "one\ntwo\n\n\n  \nthree\r\n"}, "a.txt:1")]
    assert found(path, unit="paragraph") == [({"text": "one\ntwo"}, "a.txt:1"), ({"text": "three"}, "a.txt:6")]
    assert found(path, unit="line") == [({"text": "one"}, "a.txt:1"), ({"text": "two"}, "a.txt:2"), ({"text": "three"}, "a.txt:6")]


def test_jsonl_and_json_lists(tmp_path):
    rows = [{"instruction": "Add", "input": "1, 1", "output": "2"}, {"instruction": "Say", "input": "", "output": "é\u2028"}]
    lines = write(tmp_path / "a.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n")
    assert found(lines) == [(rows[0], "a.jsonl:1"), (rows[1], "a.jsonl:2")]
    assert found(write(tmp_path / "a.json", json.dumps(rows))) == [(rows[0], "a.json[0]"), (rows[1], "a.json[1]")]
    assert found(lines, columns=["output"]) == [({"output": "2"}, "a.jsonl:1"), ({"output": "é\u2028"}, "a.jsonl:2")]


def test_csv_with_and_without_a_heading(tmp_path):
    path = write(tmp_path / "a.csv", 'label,text\nham,"one, ""two""\nthree"\nspam,four\n')
    expected = [({"label": "ham", "text": 'one, "two"\nthree'}, "a.csv:2"), ({"label": "spam", "text": "four"}, "a.csv:4")]
    assert found(path) == expected
    assert found(path, columns=("label", "text")) == expected  # a first row that repeats the names is the heading
    assert found(write(tmp_path / "b.csv", "ham,one\n"), columns=("label", "text")) == [({"label": "ham", "text": "one"}, "b.csv:1")]


def test_a_csv_cell_may_be_long(tmp_path):
    path = write(tmp_path / "a.csv", "text\n" + "x" * 200_000 + "\n")
    assert len(next(read(path)).text) == 200_000


def test_the_sms_format_takes_quotation_marks_as_they_are(tmp_path):
    path = write(tmp_path / "SMSSpamCollection", 'ham\tsay "hi\nspam\tWIN" now\n')
    assert found(path, format="tsv", columns=("label", "text")) == [
        ({"label": "ham", "text": 'say "hi'}, "SMSSpamCollection:1"),
        ({"label": "spam", "text": 'WIN" now'}, "SMSSpamCollection:2"),
    ]


@pytest.mark.skipif(not SMS.exists(), reason="the SMS spam file is not beside the repository")
def test_the_sms_spam_collection_is_whole():
    labels = [record["label"] for record in read(SMS, columns=("label", "text"))]
    assert (len(labels), labels.count("ham"), labels.count("spam")) == (5574, 4827, 747)


def test_a_folder_is_read_in_order_without_what_is_not_data(tmp_path):
    for name in ("b/z.txt", "b/a.jsonl", "a.txt", "photo.jpg", ".hidden/a.txt", "dropped.jsonl", "card.md"):
        write(tmp_path / name, '{"text": "in b"}' if name.endswith("jsonl") else name)
    assert [record.text for record in read(tmp_path)] == ["a.txt", "in b", "b/z.txt"]
    assert [record.text for record in read(tmp_path / "b", format="txt")] == ['{"text": "in b"}', "b/z.txt"]


def test_lines_are_read_in_constant_memory(tmp_path):
    path = write(tmp_path / "a.jsonl", (json.dumps({"text": "word " * 200}) + "\n") * 5000)  # 5 MB
    tracemalloc.start()
    assert sum(1 for _ in read(path)) == 5000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000


@pytest.mark.parametrize(
    ("name", "content", "options", "told"),
    [
        ("a.txt", b"fine\nna\xefve\n", {}, ["a.txt:2: not UTF-8: byte 0xef at place 3 of the line", "iconv -f latin1 -t utf-8"]),
        ("a.jsonl", '{"text": 1}\n{"text": \n', {}, ["a.jsonl:2: broken JSON: Expecting value at character", '  {"text":']),
        ("a.jsonl", '{"a": 1}\n["b"]\n', {}, ["a.jsonl:2: a list, expected an object"]),
        ("a.jsonl", '{"a": 1}\n', {"columns": ["text"]}, ["a.jsonl:1: no field 'text'", "  it has: a"]),
        ("a.json", '{"a":\n 1,}', {}, ["a.json:2: broken JSON", "give the format, or the suffix .jsonl"]),
        ("a.json", '{"a": 1}', {}, ["a.json:1: holds a JSON object, expected a list of objects"]),
        ("a.csv", "a,b\n1,2\n3\n", {}, ["a.csv:3: 1 cells, expected 2: a, b"]),
        ("a.csv", 'a,b\n1,"2\n', {}, ["a.csv:2: broken CSV", "a quotation mark inside of a cell is written twice"]),
        ("a.csv", "a,a\n1,2\n", {}, ["a.csv:1: the heading names a column twice: a, a"]),
        ("a.tsv", "ham\tone\ttwo\n", {"columns": ("label", "text")}, ["a.tsv:1: 3 cells, expected 2: label, text", "  ham | one | two"]),
        ("a.txt", " \n\n", {}, ["a.txt' holds no records"]),
        ("a.bin", "x", {}, ["a.bin': the suffix '.bin' does not say what it holds", "give the format: one of csv, json, jsonl, tsv, txt"]),
    ],
)
def test_what_cannot_be_read_is_said_with_file_and_line(tmp_path, name, content, options, told):
    with pytest.raises(DataError) as fault:
        list(read(write(tmp_path / name, content), **options))
    assert all(part in str(fault.value) for part in told), str(fault.value)


def test_unknown_sources_units_and_formats(tmp_path):
    with pytest.raises(
        DataError,
        match=r"unknown source 'kvj': there is no such file, folder or corpus\n  known: kjv, kjv-web, reviews, web\nhint: did you",
    ):
        list(read("kvj"))
    with pytest.raises(DataError, match="holds no records"):
        list(read(tmp_path))
    with pytest.raises(ConfigError, match="unknown unit 'verse'\n  known: file, line, paragraph"):
        read("kjv", unit="verse")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="unknown format 'xml'\n  known: csv, json, jsonl, tsv, txt"):
        read("a.xml", format="xml")


@pytest.fixture(scope="module")
def kjv() -> list:
    return list(read("kjv"))


def test_the_bible_by_verse(kjv):
    assert len(kjv) == 31_102
    verses = {record["reference"]: record.text for record in kjv}
    assert len(verses) == 31_102
    assert verses["Genesis 1:2"].startswith("And the earth was without form, and void; and darkness was upon the face of the deep.")
    assert verses["John 11:35"] == "Jesus wept."
    assert (
        verses["Psalms 117:2"]
        == "For his merciful kindness is great toward us: and the truth of the LORD endureth for ever. Praise ye the LORD."
    )
    assert verses["Revelation 22:21"] == "The grace of our Lord Jesus Christ be with you all. Amen."
    assert not any("[" in text or text[0].isdigit() or text != " ".join(text.split()) for text in verses.values())
    assert kjv[0].place == "kjv: Genesis 1:1"


def test_the_bible_by_chapter_and_by_book(kjv):
    chapters = list(read("kjv", unit="paragraph"))
    books = list(read("kjv", unit="file"))
    assert len(chapters) == 1189 and chapters[0].text.startswith("In the beginning God created the heaven and the earth. And the earth was")
    assert [record["reference"] for record in books] == list(BOOKS) and len(books) == 66
    words = sum(len(record.text.split()) for record in kjv)
    assert words == sum(len(record.text.split()) for record in chapters) == sum(len(record.text.split()) for record in books)


def test_both_translations_aligned():
    pairs = list(read("kjv-web"))
    assert len(pairs) == 31_099
    assert dict(pairs[0].fields) == {
        "kjv": "In the beginning God created the heaven and the earth.",
        "web": "In the beginning God created the heavens and the earth.",
        "reference": "Genesis 1:1",
    }
