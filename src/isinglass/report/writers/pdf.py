"""PDF, set by typst with the fonts that it brings along; the machine's own fonts are used only for scripts that those do not have."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from isinglass.core.errors import DataError, ExtraMissing
from isinglass.core.files import write_atomic
from isinglass.report.document import Code, Document, Heading, Part
from isinglass.report.outputs import Output
from isinglass.report.writer import Writer
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.show.theme import LIGHT

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

SUFFIX = ".pdf"
_PICTURES = {"image/png": "png", "image/jpeg": "jpg", "image/svg+xml": "svg"}
_FORMS = (*_PICTURES, "text/markdown", "text/plain")  # of an output, best first
_INLINE = {"strong": "strong", "em": "emph", "s": "strike"}
_BLOCKS = {"bullet_list": "list", "ordered_list": "enum"}
# Pictures of charts are pixels: typst would set the words inside of a drawing in another font, which has other widths.
_SCALE = 2.5
_STYLE = f"""
#set page(paper: "a4", margin: (x: 2.2cm, y: 2.4cm), numbering: "1", fill: rgb("{LIGHT.surface}"))
#set text(font: "Libertinus Serif", size: 10.5pt, fill: rgb("{LIGHT.ink}"), lang: "en")
#set par(justify: true, leading: 0.62em)
#set table(stroke: (x: none, y: 0.5pt + rgb("{LIGHT.line}")), inset: (x: 5pt, y: 4pt))
#set image(width: 100%)
#show table: set par(justify: false)
#show table: set text(size: 9pt)
#show heading: set block(above: 1.3em, below: 0.7em)
#show heading.where(level: 1): set text(size: 18pt)
#show link: set text(fill: rgb("{LIGHT.ember}"))
#show raw: set text(font: "DejaVu Sans Mono", size: 8.5pt)
#show raw.where(block: true): block.with(fill: rgb("{LIGHT.paper}"), inset: 7pt, radius: 3pt, width: 100%)
"""


def build() -> Writer:
    """The writer of `.pdf`."""
    return PdfWriter()


class PdfWriter(Writer):
    """Text stays text, so that it can be searched and copied."""

    def write(self, document: Document, path: Path) -> Path:
        """The pages in one step. Raises ExtraMissing without typst, DataError for a picture that is none."""
        try:
            import typst
        except ImportError:
            raise ExtraMissing("typst", "report") from None
        source, pictures = typeset(document)
        with tempfile.TemporaryDirectory() as folder:
            for name, content in {"main.typ": source.encode("utf-8", "replace"), **pictures}.items():
                (Path(folder) / name).write_bytes(content)
            try:
                return write_atomic(path, typst.compile(str(Path(folder) / "main.typ")))
            except typst.TypstError as fault:  # a picture of the user's that is none
                raise DataError(f"{document.title!r} cannot be set as PDF: {fault}") from None


@dataclass
class _Pictures:
    """The pictures met so far: name -> content."""

    found: dict[str, bytes] = field(default_factory=dict)

    def place(self, content: bytes, suffix: str) -> str:
        name = f"figure-{len(self.found) + 1:02d}.{suffix}"
        self.found[name] = content
        return f"#align(center, image({said(name)}))"


def typeset(document: Document) -> tuple[str, dict[str, bytes]]:
    """The document in typst's language, and the pictures that it names: name -> content."""
    pictures = _Pictures()
    head = f"#set document(title: {said(document.title)})\n#heading(level: 1, {said(document.title)})"
    return "\n\n".join([_STYLE, head, *(_part(part, pictures) for part in document.parts)]) + "\n", pictures.found


def said(text: str) -> str:
    """A text as typst's string: nothing in it is markup.

    >>> said('50 % of "#1"')
    '"50 % of \\\\"#1\\\\""'
    """
    # JSON's escapes are typst's but for \\uXXXX, which is \\u{XXXX} there: so those characters are left as they are
    return json.dumps("".join(char if char.isprintable() or char == "\n" else " " for char in text), ensure_ascii=False)


def _part(part: Part, pictures: _Pictures) -> str:
    match part:
        case str():
            return markdown(part)
        case Heading(text, level):
            return f"#heading(level: {level}, {said(text)})"
        case Code():
            source = [raw(part.source, "python")] if part.source.strip() else []
            return "\n\n".join([*source, *(_output(output, pictures) for output in part.outputs)])
        case Table():
            title = f"#block(sticky: true, strong({said(part.title)}))"  # never alone at the foot of a page
            return "\n\n".join([title, table(part.headings(), part.cells(), _numbers(part)), *_below(part)])
    picture = part.to_png(_SCALE)  # it holds title and notes itself
    return "\n\n".join([pictures.place(picture, "png"), *_command(part)])


def _numbers(item: Table) -> list[bool]:
    return [item.is_number(name) for name in item.columns]


def _below(item: Table) -> list[str]:
    return [*(f"#text(size: 9pt, fill: rgb({said(LIGHT.quiet)}), {said(note)})" for note in item.notes), *_command(item)]


def _command(item: Showable) -> list[str]:
    return [raw(f"$ {item.command}", "console")] if item.command else []


def _output(output: Output, pictures: _Pictures) -> str:
    best = output.best(_FORMS)
    if best is None:
        return ""
    mime, content = best
    if mime in _PICTURES:
        return pictures.place(content.encode("utf-8") if mime == "image/svg+xml" else base64.b64decode(content), _PICTURES[mime])
    if mime == "text/markdown":
        return markdown(content)
    return raw(output.text.rstrip(), "text") if output.text.strip() else ""


def raw(text: str, language: str) -> str:
    """A block of code as it is."""
    return f"#raw({said(text)}, block: true, lang: {said(language)})"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[bool]) -> str:
    """A table whose headings come again on each page; columns of numbers are set flush right."""
    align = ", ".join("right" if number else "left" for number in numbers)
    head = ", ".join(f"[#strong({said(name)})]" for name in headings)
    cells = "\n".join(f"  {', '.join(f'[#{said(cell)}]' for cell in row)}," for row in rows)
    return f"#table(columns: {len(headings)}, align: ({align},),\n  table.header({head}),\n{cells}\n)"


def markdown(text: str) -> str:
    """Markdown in typst's language. What typst has no word for is set as plain text."""
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

    reader = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    return _within(SyntaxTreeNode(reader.parse(text)), "\n\n")


def _within(node: SyntaxTreeNode, between: str = "") -> str:
    return between.join(_node(child) for child in node.children)


def _node(node: SyntaxTreeNode) -> str:
    kind = node.type
    if kind == "text":
        return f"#{said(node.content)}"
    if kind in ("inline", "paragraph"):
        return _within(node)
    if kind in _INLINE:
        return f"#{_INLINE[kind]}[{_within(node)}]"
    if kind == "code_inline":
        return f"#raw({said(node.content)})"
    if kind == "link":
        return f"#link({said(str(node.attrs['href']))})[{_within(node)}]"
    if kind == "heading":
        return f"#heading(level: {node.tag[1]})[{_within(node)}]"
    if kind in _BLOCKS:
        return f"#{_BLOCKS[kind]}({', '.join(f'[{_within(item, chr(10))}]' for item in node.children)})"
    if kind == "blockquote":
        return f"#quote(block: true)[{_within(node, chr(10))}]"
    if kind in ("fence", "code_block"):
        return raw(node.content.rstrip("\n"), node.info.split()[0] if node.info.split() else "text")
    if kind == "table":
        return _markdown_table(node)
    return {"softbreak": " ", "hardbreak": "#linebreak()", "hr": "#line(length: 100%)"}.get(kind, f"#{said(node.content)}")


def _markdown_table(node: SyntaxTreeNode) -> str:
    rows = [[_within(cell) for cell in row.children] for part in node.children for row in part.children]
    align = ["right" if "right" in str(cell.attrs.get("style", "")) else "left" for cell in node.children[0].children[0].children]
    head = ", ".join(f"[#strong[{cell}]]" for cell in rows[0])
    cells = "\n".join(f"  {', '.join(f'[{cell}]' for cell in row)}," for row in rows[1:])
    return f"#table(columns: {len(align)}, align: ({', '.join(align)},),\n  table.header({head}),\n{cells}\n)"
