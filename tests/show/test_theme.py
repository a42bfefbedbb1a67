"""The look, measured: contrast, monotone scales, symmetric effects."""

import numpy as np
import pytest

from isinglass.show import terminal, theme

MODES = pytest.mark.parametrize("palette", [theme.LIGHT, theme.DARK], ids=["light", "dark"])


def test_contrast_is_the_published_formula():
    assert theme.contrast("#000000", "#FFFFFF") == pytest.approx(21.0)
    assert theme.contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.005)  # the known grey that just fails


@MODES
@pytest.mark.parametrize("ink", ["ink", "quiet", "ember", "teal"])
@pytest.mark.parametrize("ground", ["paper", "surface"])
def test_every_text_colour_is_legible(palette, ink, ground):
    assert theme.contrast(getattr(palette, ink), getattr(palette, ground)) >= 4.5


@pytest.mark.parametrize("color", [terminal.EMBER, terminal.TEAL, terminal.QUIET])
@pytest.mark.parametrize("ground", ["#000000", "#FFFFFF"])
def test_terminal_accents_are_legible_on_black_and_white(color, ground):
    assert theme.contrast(color, ground) >= 3


@MODES
def test_the_sequential_scale_only_gets_farther_from_paper(palette):
    steps = np.diff(theme.luminance(theme.ramp(np.linspace(0, 1, 1001), palette.scale)))
    assert (steps < 0).all() if palette is theme.LIGHT else (steps > 0).all()


def test_known_colours():
    assert theme.sequential([0, 0.25, 0.5, 0.75, 1]).tolist() == [
        [251, 250, 247],
        [253, 227, 200],
        [245, 158, 75],
        [194, 65, 12],
        [90, 26, 6],
    ]
    assert theme.sequential([-3, 7, np.nan]).tolist() == [[251, 250, 247], [90, 26, 6], [251, 250, 247]]
    assert theme.diverging([-2, 0, 2], limit=2).tolist() == [[29, 78, 216], [251, 250, 247], [194, 65, 12]]
    assert theme.diverging([0.0], limit=0).tolist() == [[251, 250, 247]]


@MODES
def test_categories_are_okabe_and_itos(palette):
    published = {"#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}
    assert set(palette.categories) == published | {palette.ink}


def test_css_holds_both_modes():
    css = theme.css_properties()
    assert "--ig-paper:#FBFAF7" in css and "--ig-paper:#14120F" in css.split("prefers-color-scheme:dark")[1]
