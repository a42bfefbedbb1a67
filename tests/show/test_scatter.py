"""Labels of points: none lies on another, each stands beside its own point, and what is left out is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from isinglass.show.marks.scatter import _placed, scatter

points = st.lists(
    st.tuples(st.floats(0.1, 100, allow_nan=False), st.floats(-50, 50, allow_nan=False), st.text("abc xyz", min_size=0, max_size=12)),
    max_size=25,
)


@given(points, st.sampled_from(["linear", "log"]))
def test_every_point_has_a_side_or_none(some, scale):
    sides = _placed(some, scale)
    assert len(sides) == len(some) and set(sides) <= {"right", "left", ""}
    assert all(label or not side for side, (_, _, label) in zip(sides, some, strict=True))


def test_labels_of_points_far_apart_all_stand_to_the_right():
    assert _placed([(0, 0, "one"), (1, 1, "two"), (0.5, 0.5, "three")], "linear") == ["right", "right", "right"]


def test_of_points_on_one_another_one_keeps_its_label_on_a_side():
    sides = _placed([(0.5, 0.5, "first of all"), (0.5, 0.5, "second"), (0.5, 0.5, "third"), (0, 0, ""), (1, 1, "far")], "linear")
    assert sides[4] in ("right", "left") and sides[3] == "" and sides[:3].count("") >= 1


def test_what_is_left_out_is_told_and_stands_in_the_table():
    figure = scatter([1, 1, 1, 2], [1, 1, 1, 2], labels=["first", "second", "third", "far"], title="Crowded", x="one", y="two")
    assert "labels would lie on others: they are in the table" in figure.notes[-1]
    assert [row["label"] for row in figure.data.rows] == ["first", "second", "third", "far"]
    assert scatter([1, 2], [1, 2], labels=["a", "b"], title="Open", x="one", y="two").notes == ()
