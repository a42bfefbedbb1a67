"""Training curves: several runs, log axes, and more points than a picture has pixels."""

import math
import re
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isinglass.show.marks.lines import lines
from isinglass.show.marks.thin import thinned

AXES = {"title": "Loss", "x": "step", "y": "loss (nats)"}


def curve(count, seed=0):
    steps = np.arange(1, count + 1)
    return steps, 1.5 + 9 / np.sqrt(steps) + 0.1 * np.random.default_rng(seed).standard_normal(count)


def test_a_short_series_is_drawn_whole():
    assert thinned(range(640), range(640)).tolist() == list(range(640))


@given(
    ys=st.lists(st.floats(-5, 5) | st.just(math.nan), min_size=1, max_size=80),
    stretches=st.integers(1, 6),
    scale=st.sampled_from(["linear", "log"]),
    data=st.data(),
)
def test_the_highest_and_lowest_of_each_stretch_are_drawn(ys, stretches, scale, data):
    xs = sorted(data.draw(st.lists(st.floats(0.5, 100), min_size=len(ys), max_size=len(ys))))
    kept = thinned(xs, ys, scale=scale, stretches=stretches)
    assert (np.diff(kept) > 0).all() and set(kept) <= set(range(len(ys)))
    if len(ys) <= 2 * stretches:
        assert len(kept) == len(ys)
        return
    assert len(kept) <= 3 * stretches + 2
    assert {xs[0], xs[-1]} <= {xs[place] for place in kept}
    turned = [math.log(x) for x in xs] if scale == "log" else xs
    wide = turned[-1] - turned[0]
    stretch = [min(stretches - 1, int((x - turned[0]) / wide * stretches)) if wide else 0 for x in turned]
    for number in set(stretch):
        inside = [place for place in range(len(ys)) if stretch[place] == number]
        every, drawn = (
            [ys[place] for place in chosen if not math.isnan(ys[place])] for chosen in (inside, [p for p in inside if p in kept])
        )
        assert (min(every), max(every)) == (min(drawn), max(drawn)) if every else not drawn
        assert any(math.isnan(ys[p]) for p in inside) == any(math.isnan(ys[p]) for p in inside if p in kept)  # a gap stays a gap


def test_a_spike_of_one_step_is_drawn_and_the_data_holds_all():
    steps, loss = curve(10_000)
    loss[7_654] = 50.0
    figure = lines({"run": (steps, loss)}, **AXES)
    rows = figure.spec["data"]["values"]
    assert max(row["y"] for row in rows) == 50.0 and len(rows) <= 642
    assert [row["x"] for row in (rows[0], rows[-1])] == [1, 10_000]
    assert [row["loss (nats)"] for row in figure.data.rows] == loss.tolist()
    assert figure.notes == (f"drawn: the lowest and the highest of each stretch, {len(rows)} of 10,000 points",)


def test_a_log_axis_is_thinned_in_its_own_stretches():
    """The first hundred of 10,000 steps fill half of a log axis, so they are all there."""
    rows = lines({"run": curve(10_000)}, x_scale="log", **AXES).spec["data"]["values"]
    assert [row["x"] for row in rows if row["x"] <= 40] == list(range(1, 41))


def test_many_long_runs_are_quick_and_small():
    runs = {f"seed {seed}": curve(10_000, seed) for seed in range(5)}
    began = time.process_time()
    figure = lines(runs, x_scale="log", **AXES)
    svg, html = figure.to_svg(), figure.to_html()
    figure.to_terminal(100, color=False)
    assert len(svg) < 2e6 and len(html) < 6e6
    assert time.process_time() - began < 20  # about 1 s alone; 30 s before series were thinned


def test_in_a_crowd_a_few_points_of_each_run_show_its_shape():
    figure = lines({"a": curve(300, 1), "b": curve(300, 2)}, theory={"bound": ([1, 300], [2, 1])}, **AXES)
    shown = {name: [row["x"] for row in figure.spec["data"]["values"] if row["series"] == name and row["point"]] for name in ("a", "b")}
    assert 8 <= len(shown["a"]) <= 9 and 8 <= len(shown["b"]) <= 9 and not set(shown["a"]) & set(shown["b"])
    drawn = re.findall(r'opacity="(\d)"', figure.to_svg())
    assert drawn.count("0") >= 580


def test_one_crowded_run_is_a_plain_line():
    assert not any(row["point"] for row in lines({"a": curve(300)}, **AXES).spec["data"]["values"])


def test_few_points_are_all_shown():
    assert all(row["point"] for row in lines({"a": curve(30), "b": curve(30)}, **AXES).spec["data"]["values"])


@pytest.mark.parametrize("count", [2, 8, 9, 20])
def test_no_two_runs_look_alike(count):
    figure = lines({f"run {number}": curve(5, number) for number in range(count)}, **AXES)
    svg = figure.to_svg()
    legend = svg[svg.index("role-legend-symbol") :]
    symbols = re.findall(r'<path transform="[^"]*" d="([^"]+)" fill="([^"]+)"', legend)[:count]
    assert len(symbols) == len(set(symbols)) == count
