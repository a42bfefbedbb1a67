"""Documents in every format: the same parts, nothing half written."""

import base64
import json
import re

import nbformat
import pytest

from isinglass.core.errors import ConfigError, ExtraMissing
from isinglass.report.document import Code, Document, Heading
from isinglass.report.outputs import ERROR, Output, from_nodes
from isinglass.report.writers.html import html
from isinglass.report.writers.markdown import fenced, markdown
from isinglass.show import embed
from isinglass.show.marks.bars import bars
from isinglass.show.table import Table

EVIL = "</script><img src=x onerror=window.broken=1>"
PNG = base64.b64encode(b"\x89PNG not really").decode("ascii")
TABLE = Table([{"part": "a|b", "total_bytes": 2_000}], title="Where *it* is", notes=["a note"], command="isinglass model show x")
FIGURE = bars(["a", "b"], [1.0, 0.5], title="Two [bars]", command="isinglass bars")
RUN = Code(
    "print('```')\nfigure",
    (
        Output("stdout", {"text/plain": "10 %\r\x1b[32m99 %\x1b[0m\n```\n"}),
        Output("result", {"text/plain": "<Figure>\nmore", "image/svg+xml": "<svg id='a'/>", "text/html": "<b>x</b>"}),
        Output("display", {"image/png": PNG, "text/plain": ""}),
        Output("display", {"text/markdown": "**7** steps\n", "text/plain": "Markdown"}),
        Output("display", {"application/x-unknown": "?"}),
        Output(
            "error", {"text/plain": "ValueError: \x1b[31mno\x1b[0m", ERROR: {"ename": "ValueError", "evalue": "no", "traceback": ["x"]}}
        ),
    ),
    number=3,
    tags=("answer",),
)


@pytest.fixture
def document() -> Document:
    return Document("A <title>", ["Some *text*.\n\n## From text\nMore.", Heading("Sizes"), TABLE, Heading("Below", 3), FIGURE, RUN])


GOLDEN = r"""# A <title>

Some *text*.

## From text
More.

## Sizes

**Where \*it\* is**

| part | total |
| :--- | ---: |
| a\|b | 2.0 kB |

a note

```console
$ isinglass model show x
```

### Below

![Two \[bars\]](my%20report_files/figure-01.svg)

```console
$ isinglass bars
```

````python
print('```')
figure
````

````text
99 %
```
````

![\<Figure\>](my%20report_files/figure-02.svg)

![picture](my%20report_files/figure-03.png)

**7** steps

```text
ValueError: no
```
"""


def test_markdown_with_its_pictures(document, tmp_path):
    path = document.save(tmp_path / "new" / "my report.md")
    assert path.read_text("utf-8") == GOLDEN
    folder = path.parent / "my report_files"
    assert sorted(entry.name for entry in folder.iterdir()) == ["figure-01.svg", "figure-02.svg", "figure-03.png"]
    assert (folder / "figure-01.svg").read_text("utf-8") == FIGURE.to_svg()
    assert (folder / "figure-02.svg").read_text("utf-8") == "<svg id='a'/>"
    assert (folder / "figure-03.png").read_bytes() == b"\x89PNG not really"


def test_saving_again_leaves_no_old_picture_and_nothing_else_is_touched(document, tmp_path):
    path = document.save(tmp_path / "r.md")
    own = tmp_path / "r_files" / "figure-mine.svg"
    own.write_text("mine")
    Document("Short", ["text"]).save(path)
    assert path.read_text("utf-8") == "# Short\n\ntext\n"
    assert [entry.name for entry in (tmp_path / "r_files").iterdir()] == ["figure-mine.svg"]


def test_a_document_without_pictures_makes_no_folder(tmp_path):
    Document("Words", ["text", Code("1 + 1")]).save(tmp_path / "w.md")
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.md"]


def test_markdown_is_read_back_as_it_was_meant(document):
    """By a reader of CommonMark: what must be text is text, and blocks end where they should."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(markdown(document, "f")[0])
    fences = [(token.info, token.content) for token in tokens if token.type == "fence"]
    assert ("python", RUN.source + "\n") in fences and ("text", "99 %\n```\n") in fences
    pictures = [child for token in tokens for child in token.children or [] if child.type == "image"]
    assert [picture.content for picture in pictures] == ["Two \\[bars\\]", "\\<Figure\\>", "picture"]
    assert sum(token.type == "table_open" for token in tokens) == 1


def test_a_fence_is_longer_than_any_inside():
    assert fenced("a `````` b", "text") == "```````text\na `````` b\n```````"


def test_the_page_has_sections_and_fetches_nothing(document):
    made = html(document)
    assert "<title>A &lt;title&gt;</title>" in made
    assert re.findall(r'<li><a href="#[^"]+">([^<]*)</a>', made) == ["From text", "Sizes"]
    assert "<h3>Below</h3>" in made and "<em>text</em>" in made and made.count("window.vegaEmbed=") == 1
    assert "<code>print(&#x27;```&#x27;)\nfigure</code>" in made
    assert "<samp>99 %\n```</samp>" in made and 'ig-failed" tabindex="0"><samp>ValueError: no<' in made
    assert f'src="data:image/png;base64,{PNG}"' in made and "<strong>7</strong> steps" in made
    markup = re.sub(r"(<script[^>]*>).*?</script>", r"\1", made, flags=re.S)
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#)|url\(|@import", markup)
    ids = re.findall(r' id="([^"]+)"', markup)
    assert len(ids) == len(set(ids))


def test_text_cannot_become_markup():
    made = html(
        Document(
            EVIL, [EVIL, f"![x](https://example.org/x.png) `{EVIL}`", Heading(EVIL), Code(EVIL, (Output("stdout", {"text/plain": EVIL}),))]
        )
    )
    assert "<img" not in made
    assert '!<a href="https://example.org/x.png">x</a>' in made  # a picture elsewhere is named, not fetched


def test_a_page_of_words_is_small_and_one_of_nothing_is_whole():
    assert len(html(Document("Words", ["text"]))) < 20_000
    assert "<h1>Nothing</h1>" in html(Document("Nothing"))


def test_headings_inside_of_code_begin_no_section():
    made = html(Document("T", ["```\n# not a heading\n```\n\n> # quoted\n\n# One\ntext\n\nTwo\n---\nmore"]))
    assert re.findall(r'<li><a href="#[^"]+">([^<]*)</a>', made) == ["One", "Two"]
    assert "# not a heading" in made and "<h1>quoted</h1>" in made


def test_the_notebook_is_valid_and_holds_what_was_put_out(document, tmp_path):
    path = document.save(tmp_path / "r.ipynb")
    node = nbformat.read(path, as_version=4)
    nbformat.validate(node)
    assert [cell.cell_type for cell in node.cells] == ["markdown"] * 5 + ["code"]
    assert node.cells[0].source == "# A <title>\n\nSome *text*.\n\n## From text\nMore."
    assert node.cells[4].attachments["figure-05.png"]["image/png"].startswith("iVBOR")  # a PNG in base64
    code = node.cells[5]
    assert (code.source, code.execution_count, code.metadata.tags) == (RUN.source, 3, ["answer"])
    assert from_nodes(code.outputs)[:5] == RUN.outputs[:5]
    assert (code.outputs[5].ename, code.outputs[5].traceback) == ("ValueError", ["x"])


def test_the_same_document_gives_the_same_bytes(document, tmp_path):
    for suffix in ("md", "html", "ipynb"):
        first, second = (document.save(tmp_path / name / f"r.{suffix}").read_bytes() for name in ("one", "two"))
        assert first == second


def test_pieces_of_a_stream_become_one():
    pieces = [
        {"output_type": "stream", "name": name, "text": text}
        for name, text in [("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")]
    ]
    assert [(output.kind, output.text) for output in from_nodes(pieces)] == [("stdout", "ab"), ("stderr", "c"), ("stdout", "d")]


def test_half_a_character_does_not_stop_the_writing(tmp_path):
    half = Document("t", ["a\ud800", Table([{"x": "b\ud800"}], title="t")])
    assert all(half.save(tmp_path / f"h.{suffix}").stat().st_size for suffix in ("md", "html", "ipynb"))


def test_a_document_is_a_value():
    one, other = Document("t", ["a", TABLE]), Document("t", ["a"])
    assert other.extended(TABLE) == one and other != one and hash(other.extended(TABLE)) == hash(one)
    assert other.parts == ("a",) and repr(one) == "Document('t', 2 parts)"


def test_an_unknown_suffix_lists_the_known_and_writes_nothing(document, tmp_path):
    with pytest.raises(ConfigError) as caught:
        document.save(tmp_path / "r.htm")
    assert str(caught.value).splitlines()[0].startswith("unknown document format '.htm' in '")
    assert str(caught.value).splitlines()[1:] == ["  known: .html, .ipynb, .md, .pdf", "hint: did you mean '.html'?"]
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_the_old_file(document, tmp_path, monkeypatch):
    for suffix in ("md", "html", "ipynb"):
        path = tmp_path / f"r.{suffix}"
        path.write_text("old")
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    for suffix in ("md", "html", "ipynb"):
        with pytest.raises(OSError, match="disk full"):
            document.save(tmp_path / f"r.{suffix}")
        assert (tmp_path / f"r.{suffix}").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_parts_that_are_none():
    with pytest.raises(ConfigError) as caught:
        Document("T", ["a", 3])
    assert str(caught.value) == (
        "document 'T': part 2 is a int, expected Markdown text, a Heading, Code, a Table or a Figure\nhint: turn it into a Table, or into text with str(...)"
    )


def test_a_heading_has_a_level_below_the_title():
    with pytest.raises(ConfigError) as caught:
        Heading("x", 1)
    assert str(caught.value) == "heading 'x': level = 1, expected 2 to 6\nhint: level 1 is the document's title"


def test_without_nbformat_the_extra_is_named(document, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "nbformat", None)
    with pytest.raises(ExtraMissing) as caught:
        document.save(tmp_path / "r.ipynb")
    assert str(caught.value) == "this needs the package 'nbformat', which is not installed\nhint: pip install 'isinglass[report]'"
    assert list(tmp_path.iterdir()) == []


def test_a_table_in_a_notebook_has_a_pipe_table():
    bundle = TABLE._repr_mimebundle_()
    assert bundle["text/markdown"] == f"**Where \\*it\\* is**\n\n{TABLE.to_markdown()}"
    assert bundle["text/html"].startswith(embed.shared(TABLE.needs)[:20])
    assert json.dumps(bundle)
