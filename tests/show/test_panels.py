"""Small multiples of bars."""

from __future__ import annotations

import pytest

from isinglass.core.errors import ShapeError
from isinglass.show.marks.panels import Panel, panels

SHOWN = [Panel("one", [" a", " a"], {"x": [0.5, 0.25], "y": [0.1, 0.0]}), Panel("<two>", ["b"], {"x": [1.0], "y": [0.2]})]


def test_every_bar_is_drawn_under_its_heading():
    figure = panels(SHOWN, title="Two lists", axis="probability", unit="ratio", command="isinglass")
    svg = figure.to_svg()
    assert svg.count('aria-roledescription="bar"') == 6
    assert "one" in svg and "&lt;two&gt;" in svg and "<two>" not in svg
    assert [row["order"] for row in figure.spec["data"]["values"] if "heading" in row] == [0, 3]  # equal labels stay two bars
    assert figure.data.rows[0] == {"panel": "one", "label": " a", "group": "x", "probability": 0.5} and len(figure.data) == 6
    lines = figure.to_terminal(60, color=False).splitlines()
    assert lines[1] == "one" and lines[2].startswith("·a x") and "50.0 %" in lines[2]


def test_one_series_has_no_legend():
    figure = panels([Panel("only", ["a"], {"T = 1": [3.0]})], title="One", axis="entropy", unit="nats", limit=4.0)
    assert "entropy (nats)" in figure.to_svg() and "T = 1" not in figure.to_svg()


def test_a_value_per_label():
    with pytest.raises(ShapeError, match="panel 'one': series 'x' has 1 values for 2 labels"):
        panels([Panel("one", ["a", "b"], {"x": [0.5]})], title="One", axis="probability")
