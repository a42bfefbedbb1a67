"""All layers and heads as one picture: a raster of the weights inside an SVG that carries title, numbers and legend."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray

from isinglass.show import embed, png, theme
from isinglass.show.theme import Palette

_GAP, _LEFT, _TOP, _RIGHT, _BOTTOM = 6, 76, 74, 20, 62  # pixels
_SMALLEST, _LARGEST = 56, 128  # side of one head


def pooled(weights: NDArray[np.floating], side: int) -> NDArray[np.floating]:
    """The last two axes in at most `side` blocks each; the largest weight stands for its block, so single strong links stay visible."""
    time = weights.shape[-1]
    if time <= side:
        return weights
    edges = np.arange(side) * time // side
    return np.maximum.reduceat(np.maximum.reduceat(weights, edges, axis=-2), edges, axis=-1)


def raster(weights: NDArray[np.floating], *, causal: bool, scale: str, palette: Palette) -> NDArray[np.uint8]:
    """`weights [layers, heads, time, time]` as pixels `[height, width, 3]`: one square per head, layers downwards, heads across."""
    layers, heads, time, _ = weights.shape
    small = pooled(weights, _LARGEST)
    zoom = max(1, -(-_SMALLEST // small.shape[-1]))
    colors = theme.sequential(np.sqrt(small) if scale == "sqrt" else small, palette)
    if causal:
        count = small.shape[-1]
        # a block is hidden when even its last query stands before its first key
        first, last = np.arange(count) * time // count, (np.arange(count) + 1) * time // count - 1
        colors[:, :, last[:, None] < first[None, :]] = theme.rgb(palette.surface)
    colors = colors.repeat(zoom, axis=2).repeat(zoom, axis=3)
    side = colors.shape[2]
    # each head in a frame of one pixel, a gap between the frames
    sheet = np.empty((layers * (side + _GAP) - _GAP + 2, heads * (side + _GAP) - _GAP + 2, 3), np.uint8)
    sheet[:] = theme.rgb(palette.surface)
    for layer in range(layers):
        for head in range(heads):
            top, left = layer * (side + _GAP), head * (side + _GAP)
            sheet[top : top + side + 2, left : left + side + 2] = theme.rgb(palette.line)
            sheet[top + 1 : top + side + 1, left + 1 : left + side + 1] = colors[layer, head]
    return sheet


def picture(
    sheet: NDArray[np.uint8],
    shape: tuple[int, ...],
    *,
    title: str,
    kv_head_of: tuple[int, ...] | None,
    scale: str,
    notes: tuple[str, ...],
    palette: Palette,
) -> str:
    """The SVG around the raster of `shape` (layers, heads). The raster stands at one pixel per unit, its top left corner at (76, 74)."""
    layers, heads = shape
    step = (sheet.shape[1] - 2 + _GAP) / heads
    wide, high = max(_LEFT + sheet.shape[1] + _RIGHT, 460), _TOP + sheet.shape[0] + _BOTTOM + 16 * len(notes)
    data = base64.b64encode(png.write_png(sheet)).decode("ascii")
    labels = [_text(_LEFT + (head + 0.5) * step - _GAP / 2, _TOP - 8, str(head), palette.quiet, anchor="middle") for head in range(heads)]
    labels += [_text(_LEFT - 8, _TOP + (layer + 0.5) * step, f"layer {layer}", palette.quiet, anchor="end") for layer in range(layers)]
    labels += [_text(_LEFT - 8, _TOP - 8, "head", palette.quiet, anchor="end")]
    brackets = _brackets(kv_head_of, step, palette) if kv_head_of else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high:.0f}" viewBox="0 0 {wide:.0f} {high:.0f}">'
        f'<rect width="100%" height="100%" fill="{palette.surface}"/><g font-family="{embed.text(theme.WORDS)}" font-size="12">'
        f"{_text(16, 28, title, palette.ink, size=14, weight=600)}{''.join(labels)}{brackets}"
        f'<image x="{_LEFT}" y="{_TOP}" width="{sheet.shape[1]}" height="{sheet.shape[0]}" image-rendering="optimizeSpeed" '
        f'href="data:image/png;base64,{data}"/>{_legend(_TOP + sheet.shape[0] + 16, scale, notes, palette)}</g></svg>'
    )


def _text(x: float, y: float, content: str, color: str, *, anchor: str = "start", size: int = 12, weight: int = 400) -> str:
    attributes = f'text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{color}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{embed.text(content)}</text>'


def _brackets(kv_head_of: tuple[int, ...], step: float, palette: Palette) -> str:
    """A line over neighbouring query heads that read the same keys and values."""
    parts, start = [], 0
    for head in range(1, len(kv_head_of) + 1):
        if head < len(kv_head_of) and kv_head_of[head] == kv_head_of[start]:
            continue
        left, right = _LEFT + start * step, _LEFT + head * step - _GAP
        parts.append(f'<path d="M{left:.1f} {_TOP - 22}H{right:.1f}" stroke="{palette.teal}" stroke-width="2"/>')
        parts.append(_text((left + right) / 2, _TOP - 26, f"KV {kv_head_of[start]}", palette.teal, anchor="middle"))
        start = head
    return "".join(parts)


def _legend(top: float, scale: str, notes: tuple[str, ...], palette: Palette) -> str:
    stops = "".join(f'<stop offset="{place / 4}" stop-color="{color}"/>' for place, color in enumerate(palette.scale))
    ticks = "".join(
        _text(_LEFT + 160 * at, top + 26, f"{at**2 if scale == 'sqrt' else at:g}", palette.quiet, anchor="middle") for at in (0.0, 0.5, 1.0)
    )
    lines = "".join(_text(16, top + 46 + 16 * number, note, palette.quiet) for number, note in enumerate(notes))
    return (
        f'<defs><linearGradient id="scale">{stops}</linearGradient></defs>'
        f'<rect x="{_LEFT}" y="{top}" width="160" height="12" fill="url(#scale)" stroke="{palette.line}"/>{ticks}'
        f"{_text(_LEFT + 176, top + 11, 'attention weight', palette.quiet)}{lines}"
    )
