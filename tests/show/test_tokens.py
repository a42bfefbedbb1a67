"""Token strips: visible marks, ids within reach, text that stays text."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from isinglass.core.errors import ShapeError
from isinglass.show.marks.tokens import Strip, TokenStrips, compared, tokens


def test_chips_show_spaces_newlines_and_bytes():
    strip = tokens(["Hello", " world", "\n", b"\xf0\x9f"], [15496, 995, 198, 8582], title="t", name="gpt2")
    assert strip.to_terminal(60, color=False) == "t\ngpt2: 4 tokens\nHello│·world│↵│‹F0 9F›"


def test_html_gives_the_id_to_mouse_and_keyboard():
    html = tokens([" world", "</script><b>"], [995, 1], title="t").html_fragment("k")
    assert '<li tabindex="0" data-id="995" aria-label=" world, id 995"><i>·</i>world</li>' in html
    assert "&lt;/script&gt;&lt;b&gt;" in html and "<b>" not in html


def test_several_tokenizers_stand_under_each_other_and_in_one_table():
    both = compared({"a": (["x", "y"], [1, 2]), "b": (["xy"], [3])}, title="t")
    rows = list(csv.DictReader(io.StringIO(both.data.to_csv())))
    assert [(row["tokenizer"], row["position"], row["id"], row["token"]) for row in rows] == [
        ("a", "0", "1", "x"),
        ("a", "1", "2", "y"),
        ("b", "0", "3", "xy"),
    ]
    assert both.html_fragment("k").count('class="ig-tokens"') == 2


@settings(deadline=None, max_examples=60)
@given(width=st.integers(2, 120), pieces=st.lists(st.text(max_size=40) | st.binary(max_size=20), max_size=20))
def test_never_wider_than_the_window(width, pieces):
    shown = tokens(pieces, list(range(len(pieces))), title="t", name="some name").to_terminal(width, color=False)
    assert max(map(cell_len, shown.split("\n"))) <= width


def test_save_and_picture(tmp_path):
    strip = tokens(["a"], [1], title="t")
    assert strip.save(tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    assert strip.save(tmp_path / "s.md").read_text("utf-8").startswith("| tokenizer | position | id | token |")


def test_one_id_per_piece():
    with pytest.raises(ShapeError, match="tokens of 'x': 2 pieces but 1 ids"):
        tokens(["a", "b"], [1], title="t", name="x")


def test_values_fill_the_chips_and_are_said_beside_the_id():
    strips = TokenStrips([Strip("a", ("x", "y"), (1, 2), (0.5, 2.0)), Strip("b", ("z",), (3,))], title="t", value="loss (nats)")
    assert strips.notes == ("scale: loss (nats) from 0 to 2",)
    assert [row.get("loss (nats)") for row in strips.data.rows] == [0.5, 2.0, None]
    assert strips.to_terminal(40, color=False).split("\n")[2] == "x▃│y█"
    html = strips.html_fragment("k")
    assert 'data-id="1 · loss (nats) 0.5" aria-label="x, id 1, loss (nats) 0.5"' in html and " 25%,transparent 0)" in html
    assert '<li tabindex="0" data-id="3" aria-label="z, id 3">z</li>' in html


def test_values_and_tokens_must_fit():
    with pytest.raises(ShapeError, match="tokens of 'a': 1 values for 2 tokens"):
        TokenStrips([Strip("a", ("x", "y"), (1, 2), (0.5,))], title="t")
