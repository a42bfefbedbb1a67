"""One self-contained page in the look of the theme, with its headings as contents at the side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from isinglass.core.files import write_atomic
from isinglass.report.document import Code, Document, Heading, Part
from isinglass.report.outputs import Output
from isinglass.report.writer import Writer
from isinglass.report.writers.markdown import title
from isinglass.show import embed
from isinglass.show.page import Section, page
from isinglass.show.showable import Showable

SUFFIX = ".html"
_PICTURES = ("image/svg+xml", "image/png", "image/jpeg")
_FORMS = (*_PICTURES, "text/html", "text/markdown", "text/plain")  # of an output, best first


def build() -> Writer:
    """The writer of `.html`."""
    return HtmlWriter()


class HtmlWriter(Writer):
    """Nothing is fetched when it is opened: pictures stand inside, and a picture that the text only points at becomes a link."""

    def write(self, document: Document, path: Path) -> Path:
        """The page in one step."""
        return write_atomic(path, html(document).encode("utf-8", "backslashreplace"))


@dataclass(frozen=True)
class _Piece:
    """HTML that is ready, for the page to place."""

    html: str
    needs: tuple[str, ...] = ("document",)

    def html_fragment(self, key: str) -> str:
        return f'<div id="{embed.text(key)}" class="ig-piece">{self.html}</div>'


def html(document: Document) -> str:
    """The whole page. Headings of the first two levels begin its sections, also those that stand inside of Markdown text."""
    sections: list[tuple[str, list[_Piece | Showable]]] = [("", [])]
    for item in (item for part in document.parts for item in _split(part)):
        if isinstance(item, Heading) and item.level == 2:
            sections.append((item.text, []))
        else:
            sections[-1][1].append(item if isinstance(item, Showable) else _piece(item))
    return page(document.title, [Section(name, items=items) for name, items in sections if name or items])


def _split(part: Part) -> Iterator[Part]:
    """Markdown taken apart at its headings of levels 1 and 2; everything else as it is."""
    if not isinstance(part, str):
        yield part
        return
    lines, start, tokens = part.split("\n"), 0, _reader().parse(part)
    for place, token in enumerate(tokens):
        if token.type == "heading_open" and token.level == 0 and token.tag in ("h1", "h2") and token.map:
            yield "\n".join(lines[start : token.map[0]])
            yield Heading(tokens[place + 1].content)
            start = token.map[1]
    yield "\n".join(lines[start:])


def _piece(part: str | Heading | Code) -> _Piece:
    match part:
        case str():
            return _Piece(_prose(part))
        case Heading(text, level):
            return _Piece(f"<h{level}>{embed.text(text)}</h{level}>")
    source = f'<pre class="ig-code" tabindex="0"><code>{embed.text(part.source)}</code></pre>' if part.source.strip() else ""
    return _Piece(source + "".join(map(_output, part.outputs)))


def _reader():
    # Rich, which the terminal needs, brings this reader of Markdown along
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")


def _prose(text: str) -> str:
    return f'<div class="ig-text">{_reader().render(text)}</div>' if text.strip() else ""


def _output(output: Output) -> str:
    best = output.best(_FORMS)
    if best is None:
        return ""
    mime, content = best
    if mime in _PICTURES:
        return f'<p class="ig-picture"><img alt="{embed.text(title(output))}" src="{_data_url(mime, content)}"></p>'
    if mime == "text/html":
        return f'<div class="ig-output">{content}</div>'
    if mime == "text/markdown":
        return _prose(content)
    kind = " ig-failed" if output.kind == "error" else ""
    return (
        f'<pre class="ig-printed{kind}" tabindex="0"><samp>{embed.text(output.text.rstrip())}</samp></pre>' if output.text.strip() else ""
    )


def _data_url(mime: str, content: str) -> str:
    """A picture as the address of itself: apart from the page, so that names inside of two drawings cannot meet."""
    import base64

    coded = base64.b64encode(content.encode("utf-8")).decode("ascii") if mime == "image/svg+xml" else "".join(content.split())
    return f"data:{mime};base64,{coded}"
