"""`page`: sections of prose and results as one self-contained HTML document in the look of the theme."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from isinglass.show import embed


class Item(Protocol):
    """What a section can hold: a result that shows itself, or another piece of HTML. `needs` names what `embed.shared` must bring."""

    @property
    def needs(self) -> tuple[str, ...]: ...

    def html_fragment(self, key: str) -> str: ...


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs of plain text (`code` between backticks), and the results that belong to it.

    `id` is the anchor; None makes one from the title. An empty title stands for what comes before the first heading: it is not listed.
    """

    title: str
    text: Sequence[str] = ()
    items: Sequence[Item] = field(default=())
    id: str | None = None


def page(title: str, sections: Sequence[Section]) -> str:
    """One HTML document that needs no network. The charts' script (0.9 MB) is in it once, and only when there is a chart.

    >>> html = page("A report", [Section("Tokens", ["The text `a b` has two words."])])
    >>> "<code>a b</code>" in html
    True
    """
    anchors = _anchors(sections)
    links = "".join(
        f'<li><a href="#{embed.text(anchor)}">{embed.text(section.title)}</a></li>'
        for anchor, section in zip(anchors, sections, strict=True)
        if section.title
    )
    body = "\n".join(_section(anchor, section) for anchor, section in zip(anchors, sections, strict=True))
    needs = {name for section in sections for item in section.items for name in item.needs} | {"page"}
    return embed.document(
        title,
        '<a class="ig-skip" href="#content">Skip to the content</a><div class="ig-page">'
        '<nav class="ig-rail" aria-label="Contents"><button type="button" aria-expanded="true">Contents</button>'
        f'<ol>{links}</ol></nav>\n<main class="ig-main" id="content"><h1>{embed.text(title)}</h1>\n{body}\n</main></div>',
        needs,
    )


def _section(anchor: str, section: Section) -> str:
    prose = "".join(f'<p class="ig-prose">{_prose(paragraph)}</p>\n' for paragraph in section.text)
    items = "\n".join(item.html_fragment(f"{anchor}-{number}") for number, item in enumerate(section.items, start=1))
    name = embed.text(anchor)
    if not section.title:
        return f'<section id="{name}">{prose}{items}</section>'
    heading = f'<h2 id="{name}-title">{embed.text(section.title)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">{heading}\n{prose}{items}</section>'


def _prose(paragraph: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", embed.text(paragraph))


def _anchors(sections: Sequence[Section]) -> list[str]:
    """Unique anchors; figures get theirs by adding a number, so a title that ends in one cannot collide with them."""
    taken: dict[str, int] = {}
    anchors = []
    for section in sections:
        name = section.id or "s-" + (re.sub(r"[^\w]+", "-", section.title.lower()).strip("-") or "section")
        taken[name] = taken.get(name, 0) + 1
        anchors.append(name if taken[name] == 1 else f"{name}--{taken[name]}")
    return anchors
