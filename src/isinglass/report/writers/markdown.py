"""Markdown, as GitHub and editors show it, with the pictures in a folder beside it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from isinglass.core.files import write_atomic
from isinglass.report.document import Code, Document, Heading, Part
from isinglass.report.outputs import Output
from isinglass.report.writer import Writer
from isinglass.show.showable import Showable
from isinglass.show.table import Table

SUFFIX = ".md"
_PICTURES = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}
_FORMS = (*_PICTURES, "text/markdown", "text/plain")  # of an output, best first
_NAMED = re.compile(r"figure-\d{2,}\.(svg|png|jpg)")  # how pictures are called here
_MARKUP = re.compile(r"([\\`*_\[\]<>|#])")


def build() -> Writer:
    """The writer of `.md`."""
    return MarkdownWriter()


class MarkdownWriter(Writer):
    """`report.md` gets its pictures as `report_files/figure-01.svg`, ...; pictures that an earlier report left there are removed."""

    def write(self, document: Document, path: Path) -> Path:
        """Pictures first, so that a text never names one that is not there."""
        folder = path.with_name(f"{path.stem}_files")
        content, pictures = markdown(document, folder.name)
        for name, picture in pictures.items():
            write_atomic(folder / name, picture)
        write_atomic(path, content.encode("utf-8", "backslashreplace"))
        for old in folder.glob("figure-*"):
            if _NAMED.fullmatch(old.name) and old.name not in pictures:
                old.unlink()
        return path


@dataclass
class _Pictures:
    """The pictures met so far: name -> content."""

    folder: str
    found: dict[str, bytes] = field(default_factory=dict)

    def link(self, content: bytes, suffix: str, title: str) -> str:
        name = f"figure-{len(self.found) + 1:02d}.{suffix}"
        self.found[name] = content
        return f"![{escaped(title)}]({quote(f'{self.folder}/{name}')})"


def markdown(document: Document, folder: str) -> tuple[str, dict[str, bytes]]:
    """The text, and the pictures it names in `folder`: name -> content."""
    pictures = _Pictures(folder)
    blocks = [f"# {document.title}", *(_part(part, pictures) for part in document.parts)]
    return "\n\n".join(block for block in blocks if block) + "\n", pictures.found


def escaped(text: str) -> str:
    """Plain text on one line that Markdown shows as it is."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any in `text`."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    return f"{'`' * (longest + 1)}{language}\n{text.rstrip()}\n{'`' * (longest + 1)}"


def table(item: Table) -> str:
    """A pipe table under its title, with its notes and the command that makes it again."""
    notes = [escaped(note) for note in item.notes]
    return "\n\n".join([f"**{escaped(item.title)}**", item.to_markdown(), *notes, *command(item)])


def command(item: Showable) -> list[str]:
    """The command that makes a result again, as a block of its own."""
    return [fenced(f"$ {item.command}", "console")] if item.command else []


def _part(part: Part, pictures: _Pictures) -> str:
    match part:
        case str():
            return part.strip("\n")
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Code():
            source = [fenced(part.source, "python")] if part.source.strip() else []
            return "\n\n".join([*source, *filter(None, (_output(output, pictures) for output in part.outputs))])
        case Table():
            return table(part)
    picture = pictures.link(part.to_svg().encode("utf-8", "backslashreplace"), "svg", part.title)  # it holds title and notes itself
    return "\n\n".join([picture, *command(part)])


def _output(output: Output, pictures: _Pictures) -> str:
    best = output.best(_FORMS)
    if best is None:
        return ""
    mime, content = best
    if mime in _PICTURES:
        raw = content.encode("utf-8") if mime == "image/svg+xml" else base64.b64decode(content)
        return pictures.link(raw, _PICTURES[mime], title(output))
    if mime == "text/markdown":
        return content.strip("\n")
    return fenced(output.text, "text") if output.text.strip() else ""


def title(output: Output) -> str:
    """What a picture is called where it cannot be seen: the first line of its text."""
    return next(iter(output.text.strip().split("\n")), "") or "picture"
