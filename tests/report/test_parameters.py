"""Parameters take the place of the defaults, and nothing else changes."""

import ast
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isinglass.core.errors import ConfigError, DataError
from isinglass.report.parameters import filled, known
from isinglass.report.percent import Cell

SOURCE = """é = "ü"; steps: int = 100  # of training, ü
names = (
    "a",  # first
    "b",
)
rate = 1e-3 if é else 2
first = second = 3
steps.bit_length()
if True:
    inside = 1
folder: str"""
CELLS = [Cell("code", "steps = 1"), Cell("code", SOURCE, ("parameters",), 7), Cell("markdown", "steps = 1", ("parameters",))]


def test_the_defaults_as_they_stand():
    assert known(CELLS, "n.py") == {"é": '"ü"', "steps": "100", "names": '(\n    "a",  # first\n    "b",\n)', "rate": "1e-3 if é else 2"}


def test_given_values_stand_where_the_defaults_stood():
    first, second, third = filled(CELLS, {"steps": 5, "names": ["c"], "é": "ñ'"}, "n.py")
    assert (first, third) == (CELLS[0], CELLS[2])
    assert second.source.startswith(
        "é = \"ñ'\"; steps: int = 5  # of training, ü\nnames = ['c']\nrate = 1e-3 if é else 2\nfirst = second = 3\n"
    )
    assert (second.line, second.tags) == (7, ("parameters",))


def test_without_values_nothing_changes():
    assert filled(CELLS, {}, "n.py") == CELLS


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=6,
)


@given(value=VALUES, default=VALUES, other=VALUES)
def test_any_value_reads_back(value, default, other):
    cell = Cell("code", f"a = {default!r}; b = {other!r}\nc = a", ("parameters",))
    body = ast.parse(filled([cell], {"a": value}, "n.py")[0].source).body
    assert ast.literal_eval(body[0].value) == value
    assert ast.literal_eval(body[1].value) == other
    assert ast.unparse(body[2]) == "c = a"


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ConfigError) as caught:
        filled(CELLS, {"step": 5}, "n.py")
    assert str(caught.value) == "unknown parameter 'step' in n.py\n  known: names, rate, steps, é\nhint: did you mean 'steps'?"


@pytest.mark.parametrize("value", [math.inf, Path("x"), {1, 2}, [object], {"a": math.nan}])
def test_a_value_that_cannot_be_written(value):
    with pytest.raises(ConfigError) as caught:
        filled(CELLS, {"steps": value}, "n.py")
    assert str(caught.value).startswith(
        f"parameter steps = {value!r} of n.py is a {type(value).__name__}, which cannot be written into a notebook\nhint:"
    )


def test_a_cell_that_is_no_python():
    with pytest.raises(DataError) as caught:
        filled([Cell("code", "a = 1\nb = = 2", ("parameters",), 10)], {}, "n.py")
    assert str(caught.value) == "n.py:11: the cell of parameters is no Python: invalid syntax\nhint: keep only assignments in it"
