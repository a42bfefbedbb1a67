"""Terminal output as a picture: the same lines in a monospaced face, as SVG. Tables and token strips become PNGs this way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isinglass.show import embed, theme
from isinglass.show.theme import Palette

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.segment import Segment

_CHAR, _LINE, _MARGIN = 7.8, 18.0, 16.0  # pixels per column and line at 13 px, in which the common monospaced faces are 0.6 em wide
_WIDEST = 240


def _console(width: int) -> Console:
    import io

    from rich.console import Console

    return Console(
        file=io.StringIO(), width=width, color_system="truecolor", force_terminal=True, highlight=False, markup=False, emoji=False
    )


def natural_width(renderable: RenderableType) -> int:
    """Columns that `renderable` takes when nothing is folded, at most 240."""
    from rich.segment import Segment

    lines = _console(_WIDEST).render_lines(renderable, pad=False)
    return max(20, *(len("".join(part.text for part in line).rstrip()) and Segment.get_line_length(line) for line in lines))


def render(renderable: RenderableType, palette: Palette, *, width: int = 100) -> str:
    """SVG of what a terminal of `width` columns would show."""
    lines = _console(width).render_lines(renderable, pad=False)
    rows = [_line(line, number, palette) for number, line in enumerate(lines)]
    wide, high = width * _CHAR + 2 * _MARGIN, len(lines) * _LINE + 2 * _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high:.0f}" viewBox="0 0 {wide:.0f} {high:.0f}">'
        f'<rect width="100%" height="100%" fill="{palette.surface}"/>'
        f'<g font-family="{embed.text(theme.TOKENS)}" font-size="13" xml:space="preserve">{"".join(rows)}</g></svg>'
    )


def _line(line: list[Segment], number: int, palette: Palette) -> str:
    from rich.cells import cell_len

    column, parts, top = 0, [], _MARGIN + number * _LINE
    for segment in line:
        cells, style = cell_len(segment.text), segment.style
        left = _MARGIN + column * _CHAR
        column += cells
        ground = style.bgcolor.triplet if style and style.bgcolor else None
        if ground:
            parts.append(f'<rect x="{left:.1f}" y="{top:.1f}" width="{cells * _CHAR:.1f}" height="{_LINE:.1f}" fill="{ground.hex}"/>')
        if segment.text.strip():
            ink = style.color.triplet if style and style.color else None
            color = ink.hex if ink else palette.ink
            weight = ' font-weight="bold"' if style and style.bold else ""
            # textLength keeps columns straight whatever face is at hand
            parts.append(
                f'<text x="{left:.1f}" y="{top + 13:.1f}" textLength="{cells * _CHAR:.1f}" lengthAdjust="spacingAndGlyphs" '
                f'fill="{color}"{weight}>{embed.text(segment.text)}</text>'
            )
    return "".join(parts)
