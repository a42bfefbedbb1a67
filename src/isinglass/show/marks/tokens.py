"""A text as its tokens: chips with visible marks for spaces, newlines and bytes, the id on hover and focus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isinglass.core.errors import ShapeError
from isinglass.show import embed, format, sketch, terminal, textsvg
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.show.theme import LIGHT, Palette

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

Piece = str | bytes  # bytes for a token that is not text by itself


@dataclass(frozen=True)
class Strip:
    """One tokenizer's view of the text: its name, the pieces and their ids. `values` (one per token, or none) fill the chips from below."""

    name: str
    pieces: tuple[Piece, ...]
    ids: tuple[int, ...]
    values: tuple[float, ...] = ()


class TokenStrips(Showable):
    """The same text through one or several tokenizers, one strip of chips for each. Made by `tokens` and `compared`.

    `value` names what the strips' values are, with its unit; the scale runs from 0 to the largest of all strips and is printed.
    """

    def __init__(
        self, strips: Sequence[Strip], *, title: str, value: str = "value", command: str | None = None, notes: Sequence[str] = ()
    ) -> None:
        for strip in strips:
            if len(strip.pieces) != len(strip.ids):
                raise ShapeError(f"tokens of {strip.name!r}: {len(strip.pieces)} pieces but {len(strip.ids)} ids")
            if len(strip.values) not in (0, len(strip.ids)):
                raise ShapeError(f"tokens of {strip.name!r}: {len(strip.values)} values for {len(strip.ids)} tokens")
        self.strips, self.value = tuple(strips), value
        self.limit = max((one for strip in strips for one in strip.values), default=0.0)
        scale = (f"scale: {value} from 0 to {format.plain(self.limit)}",) if any(strip.values for strip in strips) else ()
        self.title, self.command, self.notes = title, command, (*scale, *notes)

    @property
    def data(self) -> Table:
        """One row per token."""
        rows = [
            {"tokenizer": strip.name, "position": place, "id": number, "token": format.token(piece)}
            | ({self.value: strip.values[place]} if strip.values else {})
            for strip in self.strips
            for place, (piece, number) in enumerate(zip(strip.pieces, strip.ids, strict=True))
        ]
        return Table(rows, title=self.title, command=self.command)

    def body_html(self, key: str) -> str:
        """A list of chips per strip; each chip can be reached by keyboard and says its id."""
        return "".join(_strip_html(strip, self.value, self.limit) for strip in self.strips)

    def sketch(self, width: int) -> RenderableType:
        """Chips alternate between two accents and are set apart by bars, so they can be told apart without colour."""
        from rich.text import Text

        lines: list[Text] = []
        for strip in self.strips:
            lines.append(Text(sketch.fit(_summary(strip), width).rstrip(), style=terminal.QUIET))
            lines.extend(_wrapped(strip, self.limit, width))
        return Text("\n", no_wrap=True, overflow="crop").join(lines)

    def to_svg(self, palette: Palette = LIGHT) -> str:
        """The chips as a picture, 100 columns wide."""
        return textsvg.render(self, palette, width=100)

    def formats(self) -> dict[str, Callable[[], str | bytes]]:
        """Suffix -> maker."""
        return {
            ".csv": lambda: self.data.to_csv(), ".html": self.to_html, ".json": lambda: self.data.to_json(),
            ".md": lambda: self.data.to_markdown() + "\n", ".png": self.to_png, ".svg": self.to_svg,
            ".txt": lambda: self.to_terminal(120, color=False) + "\n",
        }  # fmt: skip


def tokens(pieces: Sequence[Piece], ids: Sequence[int], *, title: str, name: str = "", command: str | None = None) -> TokenStrips:
    """One text as its tokens. Raises ShapeError when there is not one id per piece.

    >>> print(tokens(["Hello", ",", " world"], [15496, 11, 995], title="Hello").to_terminal(40, color=False))
    Hello
    3 tokens
    Hello│,│·world
    """
    return TokenStrips([Strip(name, tuple(pieces), tuple(ids))], title=title, command=command)


def compared(
    strips: Mapping[str, tuple[Sequence[Piece], Sequence[int]]], *, title: str, command: str | None = None, notes: Sequence[str] = ()
) -> TokenStrips:
    """The same text through several tokenizers, under each other: name -> (pieces, ids)."""
    made = [Strip(name, tuple(pieces), tuple(ids)) for name, (pieces, ids) in strips.items()]
    return TokenStrips(made, title=title, command=command, notes=notes)


def _summary(strip: Strip) -> str:
    count = f"{len(strip.ids):,} token{'' if len(strip.ids) == 1 else 's'}"
    return f"{strip.name}: {count}" if strip.name else count


def _strip_html(strip: Strip, value: str, limit: float) -> str:
    name, _, count = _summary(strip).rpartition(": ")
    head = f"<b>{embed.text(name)}</b> {embed.text(count)}" if name else embed.text(count)
    facts = [(f"{value} {format.plain(one)}", one / limit if limit else 0.0) for one in strip.values] or [("", 0.0)] * len(strip.ids)
    chips = "".join(_chip(piece, number, *fact) for piece, number, fact in zip(strip.pieces, strip.ids, facts, strict=True))
    return f'<div class="ig-strip"><p class="ig-name">{head}</p><ol class="ig-tokens">{chips}</ol></div>'


def _chip(piece: Piece, number: int, fact: str, share: float) -> str:
    seen = format.token(piece)
    plain = piece if isinstance(piece, str) else seen
    marked = "".join(f"<i>{char}</i>" if char in format.MARKS.values() else embed.text(char) for char in seen)
    spoken, shown = (f", {fact}", f"{number} · {fact}") if fact else ("", str(number))
    # height says the value; one pale colour, so that the text stays legible at every height
    fill = "color-mix(in srgb,var(--ig-ember) 32%,var(--ig-surface))"
    style = f' style="background:linear-gradient(to top,{fill} {share:.0%},transparent 0)"' if fact else ""
    label = f"{embed.text(format.visible(plain))}, id {number}{embed.text(spoken)}"
    return f'<li tabindex="0" data-id="{embed.text(shown)}" aria-label="{label}"{style}>{marked}</li>'


def _wrapped(strip: Strip, limit: float, width: int) -> list[Text]:
    from rich.cells import cell_len
    from rich.text import Text

    lines, line = [], Text()
    for number, piece in enumerate(strip.pieces):
        level = sketch.level(strip.values[number] / limit if limit else 0.0) if strip.values else ""
        # where tokens have values, one without any steps back
        color = (terminal.EMBER, terminal.TEAL)[number % 2] if not strip.values or strip.values[number] else terminal.QUIET
        seen = format.token(piece) + level
        if line.cell_len and line.cell_len + 1 + cell_len(seen) > width:
            lines.append(line)
            line = Text()
        if line.cell_len:
            line.append("│", style=terminal.QUIET)
        line.append(sketch.fit(seen, min(width, cell_len(seen))), style=color)
    return [*lines, line]
