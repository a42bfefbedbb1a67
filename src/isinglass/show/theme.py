"""The look of everything shown, once: colours, scales, type. Warm neutrals, and heat where the model puts its mass.

The stylesheet reads `css_properties()`, charts read `vega_config()`, rasters read `sequential()` and `diverging()`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

WORDS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', 'DejaVu Sans', sans-serif"
TOKENS = "ui-monospace, 'Cascadia Mono', Menlo, Consolas, 'Liberation Mono', 'DejaVu Sans Mono', monospace"
SIZES = {"small": 12, "base": 14, "large": 18, "huge": 26}  # pixels; there are no others


@dataclass(frozen=True)
class Palette:
    """The colours of one mode. `scale` runs from no weight to all of it; `effects` from negative over zero to positive; `categories` are
    Okabe and Ito's (2008), told apart by all common kinds of colour blindness, those first that stand out most from this mode's surface;
    their black is this mode's ink."""

    paper: str
    surface: str
    line: str
    ink: str
    quiet: str
    ember: str
    teal: str
    scale: tuple[str, ...]
    effects: tuple[str, str, str]
    categories: tuple[str, ...]


LIGHT = Palette(
    paper="#FBFAF7", surface="#FFFFFF", line="#E4DFD6", ink="#1D1A16", quiet="#6B645A", ember="#C2410C", teal="#0F766E",
    scale=("#FBFAF7", "#FDE3C8", "#F59E4B", "#C2410C", "#5A1A06"), effects=("#1D4ED8", "#FBFAF7", "#C2410C"),
    categories=("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#1D1A16", "#F0E442"),
)  # fmt: skip
DARK = Palette(
    paper="#14120F", surface="#1E1B17", line="#38332B", ink="#F3EEE6", quiet="#A79F92", ember="#FB923C", teal="#5EEAD4",
    scale=("#14120F", "#5A1A06", "#C2410C", "#F59E4B", "#FDE3C8"), effects=("#60A5FA", "#14120F", "#FB923C"),
    categories=("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#F3EEE6", "#0072B2"),
)  # fmt: skip


def rgb(color: str) -> NDArray[np.float64]:
    """`#RRGGBB` as three numbers 0..255."""
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float64)


def ramp(positions: ArrayLike, stops: tuple[str, ...]) -> NDArray[np.float64]:
    """Colours at positions 0..1 (clipped; NaN counts as 0) between evenly spaced stops, linear in sRGB. Shape `... 3`, values 0..255."""
    at = np.clip(np.nan_to_num(np.asarray(positions, dtype=np.float64)), 0.0, 1.0)
    table = np.stack([rgb(stop) for stop in stops])
    knots = np.linspace(0.0, 1.0, len(stops))
    return np.stack([np.interp(at, knots, table[:, channel]) for channel in range(3)], axis=-1)


def sequential(values: ArrayLike, palette: Palette = LIGHT) -> NDArray[np.uint8]:
    """Weights or probabilities 0..1 as colours, shape `... 3`.

    >>> sequential([0.0, 1.0]).tolist()
    [[251, 250, 247], [90, 26, 6]]
    """
    return np.rint(ramp(values, palette.scale)).astype(np.uint8)


def diverging(values: ArrayLike, limit: float, palette: Palette = LIGHT) -> NDArray[np.uint8]:
    """Effects from -limit over zero (paper) to +limit as colours, shape `... 3`."""
    half = np.nan_to_num(np.asarray(values, dtype=np.float64)) / (2 * limit) if limit else np.zeros(np.shape(values))
    return np.rint(ramp(half + 0.5, palette.effects)).astype(np.uint8)


def luminance(color: ArrayLike) -> NDArray[np.float64]:
    """Relative luminance 0..1 of colours `... 3` in 0..255 (WCAG 2.2, from IEC 61966-2-1)."""
    part = np.asarray(color, dtype=np.float64) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """Contrast ratio 1..21 of two colours (WCAG 2.2); text needs 4.5.

    >>> contrast("#000000", "#FFFFFF")
    21.0
    """
    low, high = sorted([float(luminance(rgb(one))), float(luminance(rgb(other)))])
    return (high + 0.05) / (low + 0.05)


def css_properties() -> str:
    """The palette as custom properties of every element with class `ig`, for light and dark."""
    shared = [f"--ig-words:{WORDS}", f"--ig-tokens:{TOKENS}", *(f"--ig-{name}:{pixels}px" for name, pixels in SIZES.items())]
    light = f".ig{{color-scheme:light dark;{';'.join(shared)};{_colors(LIGHT)}}}"
    return f"{light}\n@media (prefers-color-scheme:dark){{.ig{{{_colors(DARK)}}}}}\n"


def _colors(palette: Palette) -> str:
    plain = {name: color for name, color in asdict(palette).items() if isinstance(color, str)}
    gradient = {"scale": ",".join(palette.scale), "effects": ",".join(palette.effects)}
    return ";".join(f"--ig-{name}:{color}" for name, color in {**plain, **gradient}.items())


def vega_config(palette: Palette = LIGHT) -> dict[str, Any]:
    """The configuration of every chart. Specifications name ranges ("heatmap", "diverging", "category"), so one chart fits both modes."""
    text = {"labelColor": palette.quiet, "titleColor": palette.ink, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    return {
        "background": None,
        "font": WORDS,
        "view": {"stroke": None},
        "axis": {**text, "domainColor": palette.line, "tickColor": palette.line, "gridColor": palette.line, "gridOpacity": 0.7,
                 "labelLimit": 220, "titlePadding": 8},
        "legend": {**text, "gradientStrokeColor": palette.line, "orient": "top", "gradientLength": 160, "symbolLimit": 24},
        "title": {"color": palette.ink, "fontSize": 14, "fontWeight": 600, "anchor": "start", "offset": 12,
                  "subtitleColor": palette.quiet, "subtitleFontSize": 12},
        "bar": {"color": palette.ember},
        "line": {"color": palette.ember, "strokeWidth": 2},
        "point": {"color": palette.ember, "size": 48},
        "rule": {"color": palette.quiet},
        "text": {"color": palette.ink, "fontSize": 12},
        "range": {"category": list(palette.categories), "heatmap": list(palette.scale), "ramp": list(palette.scale),
                  "diverging": list(palette.effects)},
    }  # fmt: skip
