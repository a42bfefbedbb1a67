"""Documents as PDF: read again by another program."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from isinglass.core.errors import DataError
from isinglass.report.document import Code, Document, Heading
from isinglass.report.outputs import Output
from isinglass.report.writers.pdf import said
from isinglass.show.marks.bars import bars
from isinglass.show.table import Table

EVIL = '#import "x.typ" $x$ \\ *bold* _em_ `raw` @ref <label> [x] {y} // gone "quoted" ~ ---'
MARKDOWN = """Prose with *emphasis*, **weight**, `code` and [a link](https://example.org/?a=1&b=2#c).

- one
- two
  1. inner

> quoted

| name | size |
| :--- | ---: |
| a_b | 12 |

```python
x = {"a": "$#"}
```
"""


def read(path):
    reader = PdfReader(path)
    return reader, " ".join(" ".join(page.extract_text() for page in reader.pages).split())


def test_everything_is_there_as_text_or_picture(tmp_path):
    table = Table([{"part": "a|b #1", "total_bytes": 2_000}], title="Where *it* is", notes=["a note"], command="isinglass model show x")
    figure = bars(["a", "b"], [1.0, 0.5], title="Two bars")
    run = Code(
        "print(1)", (Output("stdout", {"text/plain": "10 %\r99 %\n"}), Output("display", {"text/markdown": "**7** steps"})), number=1
    )
    document = Document("A #title", [MARKDOWN, Heading("Sizes"), table, Heading("Below", 3), figure, run, EVIL])
    reader, text = read(document.save(tmp_path / "a" / "report.pdf"))
    for part in ("A #title", "Prose with emphasis, weight, code and a link.", "one", "inner", "quoted", "a_b 12", 'x = {"a": "$#"}', "Sizes",
                 "Where *it* is", "a|b #1 2.0 kB", "a note", "$ isinglass model show x", "Below", "print(1)", "99 %", "7 steps"):  # fmt: skip
        assert part in text, part
    assert reader.metadata.title == "A #title"
    assert sum(len(page.images) for page in reader.pages) == 1
    links = [note.get_object()["/A"]["/URI"] for page in reader.pages for note in page.get("/Annots", ())]
    assert links == ["https://example.org/?a=1&b=2#c"]


def test_long_tables_go_on_with_their_headings(tmp_path):
    rows = [{"number": n, "text": f"row {n}"} for n in range(120)]
    reader, text = read(Document("Long", [Table(rows, title="All")]).save(tmp_path / "long.pdf"))
    assert len(reader.pages) > 2 and "row 119" in text
    assert all("number" in page.extract_text() for page in reader.pages)


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Z", "Cc"]), max_size=60))
def test_no_text_is_ever_markup(tmp_path_factory, text):
    """Whatever stands in a title, a cell or a heading: the document is set, and every ASCII letter of it is still there."""
    folder = tmp_path_factory.mktemp("pdf")
    document = Document(text, [Heading(text), Table([{"a": text}], title=text), Code(text, (Output("stdout", {"text/plain": text}),))])
    _, found = read(document.save(folder / "x.pdf"))
    assert {char for char in text if char.isascii() and char.isalnum()} <= set(found)


@given(st.text(max_size=40))
def test_strings_come_back(text):
    assert json.loads(said(text)) == "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def test_a_picture_that_is_none_is_told_and_nothing_is_left(tmp_path):
    broken = Code("x", (Output("display", {"image/png": "bm90IGEgcGljdHVyZQ=="}),))
    with pytest.raises(DataError, match="'Broken' cannot be set as PDF"):
        Document("Broken", [broken]).save(tmp_path / "b.pdf")
    assert list(tmp_path.iterdir()) == []
    assert PdfReader(io.BytesIO(Document("Fine", []).save(tmp_path / "f.pdf").read_bytes())).pages
