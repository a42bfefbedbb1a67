"""The reader of py:percent files: what Jupytext's documentation shows, and anything that can be written as such a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isinglass.core.errors import DataError
from isinglass.report.percent import Cell, parse, read

SAMPLE = '''# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---
"""What this file is."""

# %% [markdown]
# # A title
#
# Some *text*,
#   indented.

# %% A name [md] tags=["intro", "short"]
"""
More text
"""

# %% tags=["parameters"]
steps = 100

rate = 1e-3
#%%

# a comment
print(steps)


# %%time is no cell
# %% [code]
'''


def test_a_file_as_people_write_it():
    assert parse(SAMPLE) == [
        Cell("markdown", "# A title\n\nSome *text*,\n  indented.", (), 9),
        Cell("markdown", "More text", ("intro", "short"), 15),
        Cell("code", "steps = 100\n\nrate = 1e-3", ("parameters",), 20),
        Cell("code", "# a comment\nprint(steps)\n\n\n# %%time is no cell", (), 25),
        Cell("code", "", (), 31),
    ]


def test_code_before_the_first_cell_is_a_cell():
    assert parse("import os\n\n# %%\n1\n") == [Cell("code", "import os", (), 1), Cell("code", "1", (), 4)]
    assert parse("# only a comment\n") == []
    assert parse("") == []


def test_line_ends_of_windows_and_a_byte_order_mark(tmp_path):
    (tmp_path / "n.py").write_bytes("\ufeff# %%\r\n1\r\n2\r\n".encode())
    assert read(tmp_path / "n.py") == [Cell("code", "1\n2", (), 2)]


def is_cell_text(text: str) -> bool:
    """Blank lines around a cell belong to the file."""
    lines = text.split("\n")
    return bool(lines[0].strip() and lines[-1].strip())


LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12)
LINES = st.lists(LINE | st.sampled_from(["", "  ", "# x", "x = 1", '"""', "%%", "[markdown]"]), min_size=1, max_size=5).map("\n".join)
CODE = LINES.filter(lambda text: is_cell_text(text) and not any(line.replace(" ", "").startswith("#%%") for line in text.split("\n")))
TEXT = LINES.filter(lambda text: is_cell_text(text) and not any(line.startswith("%%") for line in text.split("\n")))
TAGS = st.lists(st.text("abc-_.", min_size=1, max_size=5), max_size=2).map(tuple)
CELLS = st.lists(st.builds(Cell, st.just("code"), CODE, TAGS) | st.builds(Cell, st.just("markdown"), TEXT, TAGS), max_size=5)


def written(cells: list[Cell]) -> str:
    """The file that holds these cells."""
    text = "# a header\n\n"
    for cell in cells:
        kind = " [markdown]" if cell.kind == "markdown" else ""
        tags = f" tags=[{', '.join(f'{chr(34)}{tag}{chr(34)}' for tag in cell.tags)}]" if cell.tags else ""
        lines = cell.source.split("\n")
        body = [f"# {line}" for line in lines] if cell.kind == "markdown" else lines
        text += "\n".join([f"# %%{kind}{tags}", *body]) + "\n\n"
    return text


@given(cells=CELLS)
def test_what_is_written_is_read(cells):
    text = written(cells)
    found = parse(text)
    assert [(cell.kind, cell.source, cell.tags) for cell in found] == [(cell.kind, cell.source, cell.tags) for cell in cells]
    lines = text.split("\n")
    for cell in found:  # and it says where it stood
        assert lines[cell.line - 1].removeprefix("# " if cell.kind == "markdown" else "") == cell.source.split("\n")[0]


@given(text=st.text(max_size=60))
def test_any_text_gives_cells_or_says_where_it_is_wrong(text):
    try:
        assert all(cell.line >= 1 for cell in parse(text))
    except DataError as error:
        assert "<text>:" in str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# %%\n1\n# %% [raw]\nx\n", "unknown type of cell 'raw' in n.py:3\n  known: code, markdown, md"),
        (
            "# %% [markdown]\n# one\ntwo\n",
            "n.py:3: a line of a Markdown cell is no comment: 'two'\nhint: begin the line with '# '",
        ),
        ("\n# %% tags=[parameters]\n1", "n.py:2: tags='[parameters]' is no list of texts\nhint: write tags=[\"parameters\"]"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text, message):
    with pytest.raises(DataError) as caught:
        parse(text, "n.py")
    assert str(caught.value) == message


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "n.py"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"(?s)cannot read the notebook '.*n\.py': .*hint: give the path of a Python file with cells"):
        read(path)
