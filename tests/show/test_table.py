"""Table: the same rows in every format, and nothing half written."""

import csv
import io
import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from isinglass.core.errors import ConfigError
from isinglass.show.table import Table

ROWS = [
    {"part": "embedding", "parameters": 28_311_552, "share": 0.21, "total_bytes": 113_246_208},
    {"part": "a|b <i>\n\"q\", 'x' </script>", "parameters": 7, "share": None, "total_bytes": 28},
]


def table(**more):
    return Table(ROWS, title="Where", units={"parameters": "count", "share": "ratio"}, **more)


def test_markdown_is_for_people_and_escaped():
    assert table().to_markdown().split("\n") == [
        "| part | parameters | share | total |",
        "| :--- | ---: | ---: | ---: |",
        "| embedding | 28.3M | 21.0 % | 113.2 MB |",
        "| a\\|b &lt;i><br>\"q\", 'x' &lt;/script> | 7 | – | 28 B |",
    ]


def test_csv_holds_raw_values_that_read_back():
    lines = list(csv.reader(io.StringIO(table().to_csv())))
    assert lines[0] == ["part", "parameters", "share", "total_bytes"]
    assert lines[1] == ["embedding", "28311552", "0.21", "113246208"]
    assert lines[2] == [ROWS[1]["part"], "7", "", "28"]


def test_json_holds_raw_values_and_only_finite_numbers():
    made = Table([{"x": np.float32(0.5), "y": float("nan"), "z": Decimal("0.10"), "n": np.int64(3)}], title="t", notes=["n"])
    assert json.loads(made.to_json())["rows"] == [{"x": 0.5, "y": None, "z": "0.10", "n": 3}]


def test_html_is_escaped_and_numbers_stand_right():
    html = table().html_fragment("k")
    assert "&lt;/script&gt;" in html and "<i>" not in html
    assert '<td class="ig-number">28.3M</td>' in html
    assert html.count("</script>") == 1  # the data's own end


def test_rows_are_a_copy_and_columns_can_be_chosen():
    made = table(columns=["share", "part"])
    made.rows[0]["part"] = "changed"
    assert made.rows == ROWS
    assert made.columns == ("share", "part")
    assert made.to_csv().splitlines()[0] == "share,part"
    assert made == table(columns=["share", "part"]) and made != table()


def test_a_column_that_no_row_has():
    with pytest.raises(ConfigError) as caught:
        table(columns=["shar"])
    assert str(caught.value) == (
        "unknown column 'shar' in the table 'Where'\n  known: parameters, part, share, total_bytes\nhint: did you mean 'share'?"
    )


@pytest.mark.parametrize("suffix", [".json", ".csv", ".md", ".html", ".txt", ".svg", ".png"])
def test_save_by_suffix(tmp_path, suffix):
    path = table().save(tmp_path / "new folder" / f"t{suffix}")
    content = path.read_bytes()
    starts = {
        ".png": b"\x89PNG",
        ".svg": b"<svg",
        ".html": b"<!doctype html>",
        ".json": b"{",
        ".csv": b"part,",
        ".md": b"| part",
        ".txt": b"Where",
    }
    assert content.startswith(starts[suffix])
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_saved_json_and_csv_read_back(tmp_path):
    assert json.loads(table().save(tmp_path / "t.json").read_text("utf-8"))["rows"] == ROWS
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") if table().save(tmp_path / "t.csv") else None as file:
        assert [row["part"] for row in csv.DictReader(file)] == [row["part"] for row in ROWS]


def test_half_a_character_does_not_stop_the_writing(tmp_path):
    path = Table([{"token": "a\ud800"}], title="t").save(tmp_path / "t.json")
    assert json.loads(path.read_text("utf-8"))["rows"] == [{"token": "a\ud800"}]


def test_an_unknown_suffix_lists_the_known_and_writes_nothing(tmp_path):
    with pytest.raises(ConfigError) as caught:
        table().save(tmp_path / "t.jsn")
    assert str(caught.value).splitlines()[0].startswith("unknown file format '.jsn' in save(")
    assert "known: .csv, .html, .json, .md, .png, .svg, .txt" in str(caught.value)
    assert "did you mean '.json'?" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("old")
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        table().save(path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.csv"]


@settings(deadline=None, max_examples=60)
@given(
    width=st.integers(1, 160),
    rows=st.lists(
        st.fixed_dictionaries({"name": st.text(max_size=30), "日本": st.integers(), "x": st.floats(), "long": st.text(max_size=80)}),
        max_size=4,
    ),
)
def test_never_wider_than_the_window(width, rows):
    shown = Table(rows, title="A title of several words", notes=["a note"], command="isinglass do it").to_terminal(width, color=False)
    # a character of two columns cannot be cut in one, so a window of one column is the one exception
    assert max(map(cell_len, shown.split("\n"))) <= max(width, 2)
    assert "\x1b" not in shown


def test_an_empty_table_shows_itself():
    empty = Table([], title="Nothing", columns=["a", "b"])
    assert empty.to_csv() == "a,b\n"
    assert empty.to_terminal(40, color=False).startswith("Nothing")
    assert "<thead>" in empty.html_fragment("k")
