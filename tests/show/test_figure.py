"""Figures: one specification in every format, safe in HTML, complete in a terminal."""

import json
import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from isinglass.core.errors import ConfigError, ShapeError
from isinglass.show import embed
from isinglass.show.figure import Figure
from isinglass.show.marks.bars import bars
from isinglass.show.marks.heatmap import heatmap
from isinglass.show.marks.lines import lines
from isinglass.show.marks.scatter import scatter
from isinglass.show.page import Section, page
from isinglass.show.theme import DARK

EVIL = "</script><img src=x onerror=alert(1)>\u2028"


def makers(label):
    matrix = np.array([[0.0, 1.0, 0.5], [-2.0, 0.25, 0.0]])
    axes = {"rows": ["0", label], "columns": ["a", "a", label], "row_axis": "layer", "column_axis": "position", "value": "effect"}
    words, share = [label, " the", " the"], {"axis": "probability", "unit": "ratio"}
    curves, theory = {"measured": ([1, 2, 4], [1, 2, 4])}, {label: ([1, 4], [1, 4])}
    return [
        lambda: bars(words, [0.77, 0.03, 0.01], title="Next token", command="isinglass predict", **share),
        lambda: bars([label, "b"], {"T = 1": [0.5, 0.1], "T = 2": [0.3, 0.2]}, title="Temperatures", limit=1, **share),
        lambda: lines(curves, theory=theory, title="Time", x="tokens", y="time (s)", x_scale="log", y_scale="log"),
        lambda: heatmap(matrix, title="Patching", scale="diverging", **axes),
        lambda: heatmap(np.abs(matrix), title="Scores", **axes),
        lambda: scatter([0, 1], [1, 0], labels=[label, "b"], groups=["x", "y"], title="Map", x="one", y="two"),
    ]


def one(number, label=" Paris"):
    return makers(label)[number]()


KINDS = pytest.mark.parametrize("number", range(6), ids=["bars", "grouped", "lines", "diverging", "sequential", "scatter"])


@KINDS
def test_draws_without_a_browser_and_says_its_title(number):
    figure = one(number)
    svg = figure.to_svg()
    assert svg.startswith("<svg") and f">{figure.title}<" in svg
    assert svg != figure.to_svg(DARK)


def test_png_has_the_size_of_its_svg_times_scale():
    figure = one(0)
    width, height = (float(x) for x in re.search(r'<svg[^>]*? width="([\d.]+)" height="([\d.]+)"', figure.to_svg()).groups())
    assert struct.unpack(">II", figure.to_png(scale=2)[16:24]) == (round(2 * width), round(2 * height))


def test_values_of_the_bars_are_in_the_picture():
    svg = one(0).to_svg()
    assert ">77.0 %<" in svg and ">·Paris<" in svg and svg.count(">·the<") == 2  # equal labels stay two bars


@KINDS
def test_no_token_can_end_the_script_or_become_markup(number):
    html = one(number, EVIL).html_fragment("k")
    assert (
        EVIL not in html and "<img" not in html and "\u2028" not in html.split('<script type="application/json">')[1].split("</script>")[0]
    )
    for content in re.findall(r"<script[^>]*>(.*?)</script>", html, re.S):
        json.loads(content)  # each script is whole
    # what is read back is the text itself
    assert EVIL.rstrip("\u2028") in json.dumps(json.loads(re.findall(r'class="ig-data">(.*?)</script>', html, re.S)[0]), ensure_ascii=False)


def test_script_json_reads_back():
    value = {"a": ["</script>", "<!--", "\u2028\u2029", "&", 0.1, float("nan"), np.arange(2)]}
    text = embed.script_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"a": ["</script>", "<!--", "\u2028\u2029", "&", 0.1, None, [0, 1]]}


@KINDS
@settings(deadline=None, max_examples=12)
@given(width=st.integers(2, 180), label=st.text(max_size=40))
def test_never_wider_than_the_window(number, width, label):
    shown = one(number, label).to_terminal(width, color=False)
    assert max(map(cell_len, shown.split("\n"))) <= width


def test_a_bar_is_as_long_as_its_value():
    first, second = bars(["a", "b"], [1.0, 0.5], title="t").to_terminal(43, color=False).split("\n")[1:3]
    assert (first, second) == ("a " + "█" * 37 + "   1", "b " + "█" * 18 + "▌" + " " * 18 + " 0.5")


def test_a_heat_map_shows_sign_and_strength_without_color():
    shown = one(3).to_terminal(60, color=False).split("\n")
    assert shown[1:3] == ["0         ▒▒▒░░░", "·Paris ≡≡≡░░░"]
    assert shown[3] == "scale: effect from -2 to 2"


@pytest.mark.parametrize("count", [1, 24, 100])
def test_axis_labels_are_few_and_begin_with_the_first(count):
    names = [f"token{number}" for number in range(count)]
    svg = heatmap([list(range(count))], title="t", rows=["r"], columns=names, row_axis="a", column_axis="b", value="v").to_svg()
    shown = re.findall(r">(token\d+)<", svg)
    assert shown[0] == "token0" and len(shown) == len(names[:: -(-count // 24)])


def test_colours_are_symmetric_about_zero():
    color = one(3).spec["encoding"]["color"]
    assert color["scale"]["domain"] == [-2.0, 0, 2.0] and color["scale"]["range"] == "diverging"
    assert color["legend"]["values"] == [-2.0, 0.0, 2.0]


def test_theory_is_dashed_and_log_axes_leave_out_what_they_cannot_show():
    figure = lines({"m": ([0, 1, 2], [1, 1, 2])}, theory={"t": ([1, 2], [1, 2])}, title="t", x="x", y="y", x_scale="log")
    assert [(row["series"], row["x"]) for row in figure.spec["data"]["values"]] == [("m", 1), ("m", 2), ("t", 1), ("t", 2)]
    assert "dashed: theory" in figure.notes and 'stroke-dasharray="5,4"' in figure.to_svg()


@pytest.mark.parametrize("suffix", [".html", ".svg", ".png", ".json", ".csv", ".txt"])
def test_save_by_suffix(tmp_path, suffix):
    figure = one(0)
    content = figure.save(tmp_path / f"f{suffix}").read_bytes()
    starts = {
        ".png": b"\x89PNG",
        ".svg": b"<svg",
        ".html": b"<!doctype html>",
        ".json": b"{",
        ".csv": b"label,probability",
        ".txt": b"Next token",
    }
    assert content.startswith(starts[suffix])


def test_saved_json_is_the_specification_and_csv_the_data(tmp_path):
    figure = one(0)
    assert json.loads(figure.save(tmp_path / "f.json").read_text("utf-8"))["data"] == figure.spec["data"]
    assert figure.save(tmp_path / "f.csv").read_text("utf-8").splitlines()[1] == " Paris,0.77"


def test_a_figure_without_data_has_no_csv(tmp_path):
    bare = Figure({"mark": "bar", "data": {"values": []}}, title="bare")
    with pytest.raises(ConfigError, match=r"unknown file format '\.csv'"):
        bare.save(tmp_path / "f.csv")
    assert bare.to_terminal(80, color=False).startswith("bare\n(a chart without a sketch")


@pytest.mark.parametrize(
    "make",
    [
        lambda: bars([], [], title="t", unit="ratio"),
        lambda: bars(["a", "b"], [float("nan"), -1.0], title="t"),
        lambda: lines({}, title="t", x="x", y="y"),
        lambda: lines({"a": ([1, 2], [float("nan"), 3])}, title="t", x="x", y="y"),
        lambda: scatter([], [], title="t", x="x", y="y"),
        lambda: heatmap([[float("nan"), 0.0]], title="t", rows=["a"], columns=["b", "c"], row_axis="r", column_axis="c", value="v"),
    ],
)
def test_nothing_to_show_is_still_shown(make):
    figure = make()
    assert figure.to_terminal(60, color=False).split("\n")[0] == "t"
    assert ">t<" in figure.to_svg() and "NaN" not in figure.html_fragment("k")


def test_the_specification_cannot_be_changed_from_outside():
    figure = one(0)
    figure.spec["data"]["values"].clear()
    assert len(figure.spec["data"]["values"]) == 3


def test_a_standalone_page_fetches_nothing():
    html = one(0).to_html()
    markup = re.sub(r"(<script[^>]*>).*?</script>", r"\1", html, flags=re.S)
    assert not re.search(r"(?:src|href)=[\"'](?!data:)|url\(|@import", markup)
    assert html.count("window.vegaEmbed=") == 1


def test_notebooks_get_a_still_picture():
    bundle = one(0)._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<svg") and "<script" not in bundle["text/html"]
    assert bundle["text/plain"].startswith("Next token")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bars(["a"], [1.0, 2.0], title="t"), "bars 't': series '' has 2 values for 1 labels"),
        (lambda: lines({"s": ([1], [1, 2])}, title="t", x="x", y="y"), "lines 't': series 's' has 1 x values and 2 y values"),
        (lambda: scatter([1], [1, 2], title="t", x="x", y="y"), "scatter 't': sequences differ in length: {'xs': 1, 'ys': 2}"),
        (
            lambda: heatmap([[1.0]], title="t", rows=["a"], columns=[], row_axis="r", column_axis="c", value="v"),
            "heatmap 't': values have shape (1, 1), labels are for (1, 0)",
        ),
        (
            lambda: heatmap(np.zeros((0, 2)), title="t", rows=[], columns=["a", "b"], row_axis="r", column_axis="c", value="v"),
            "heatmap 't': there are no values, the shape is (0, 2)",
        ),
    ],
)
def test_what_does_not_fit_is_said(make, message):
    with pytest.raises(ShapeError) as caught:
        make()
    assert str(caught.value) == message


def test_a_page_holds_the_bundle_once_and_unique_anchors():
    first, second = one(0), one(1)
    html = page("A <report>", [Section("Same", ["`a<b` and <i>"], [first, second]), Section("Same", [], [first])])
    assert html.count("window.vegaEmbed=") == 1
    assert "<title>A &lt;report&gt;</title>" in html and "<code>a&lt;b</code> and &lt;i&gt;" in html
    ids = re.findall(r'<(?:section|figure)[^>]* id="([^"]+)"', html)
    assert len(ids) == len(set(ids)) == 5
    assert all(f'id="{target}"' in html for target in re.findall(r'href="#([^"]+)"', html))


def test_a_page_without_charts_is_small():
    assert len(page("Words", [Section("One", ["text"])])) < 20_000


def test_the_same_figure_gives_the_same_bytes_and_two_drawings_share_no_name():
    names = [set(re.findall(r'id="([^"]+)"', svg)) for svg in (one(0).to_svg(), one(0).to_svg(), one(2).to_svg())]
    assert one(0).to_svg() == one(0).to_svg() and names[0] and not names[0] & names[2]
    assert set(re.findall(r"url\(#([^)]+)\)", one(2).to_svg())) <= names[2]
