"""The framework of studies: a small notebook of two cells stands for the real ones."""

import re
import tomllib
from pathlib import Path

import nbformat
import pytest

import isinglass as ig
from isinglass.core.errors import ConfigError, DataError
from isinglass.report import percent
from isinglass.report.execute import CellDone, Executed
from isinglass.studies import study as module
from isinglass.studies.study import Study, studies, studying

SOURCE = """# %% [markdown]
# # Counting

# %% tags=["parameters"]
quick = False
data = "kjv"
seed = 0

# %%
from pathlib import Path

Path("README.md").write_text(f"{quick} {data} {seed}", "utf-8")
"""
COURSE = ["book-1", "book-2", "book-3", "book-4", "book-5-classification", "book-5-instruction", "book-5-lora"]


@pytest.fixture
def counting(tmp_path, monkeypatch):
    """The only studies are two of a notebook that writes its parameters into README.md."""
    known = {}
    for number in (8, 9):
        source = tmp_path / "sources" / f"assignment_{number}.py"
        source.parent.mkdir(exist_ok=True)
        source.write_text(SOURCE, "utf-8")
        known[f"count-{number}"] = Study(f"count-{number}", "Counting", source)
    monkeypatch.setattr(module, "studies", lambda: known)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_course_is_whole_and_its_notebooks_are_named_as_it_wants():
    names = [study.notebook for study in studies().values()]
    assert list(studies())[: len(COURSE)] == COURSE
    assert names[:4] == [f"assignment{number}.ipynb" for number in (1, 2, 3, 4)]
    assert names[4:7] == ["assignment5_classification.ipynb", "assignment5_instruction.ipynb", "assignment5_lora.ipynb"]


@pytest.mark.parametrize("study", studies().values(), ids=lambda study: study.name)
def test_sources_ship_with_the_package_and_can_be_run_quickly(study):
    package = Path(ig.__file__).parent
    assert study.source.is_relative_to(package) and "quick" in study.parameters()
    assert not (study.source.parent / "__init__.py").exists()  # data, never imported
    project = tomllib.loads((package.parents[1] / "pyproject.toml").read_text("utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["src/isinglass"]  # every file below it


@pytest.mark.parametrize("study", studies().values(), ids=lambda study: study.name)
def test_titles_are_those_of_the_notebooks(study):
    assert percent.read(study.source)[0].source.split("\n")[0] == f"# {study.title}"


def test_a_run_tells_its_cells_and_fills_the_folder(counting):
    (counting / "novel.txt").write_text("A text.", "utf-8")
    events = list(studying("count-8", out="out/8", quick=True, data="novel.txt", seed=3))
    assert [type(event) for event in events] == [CellDone, CellDone, Executed]
    folder = counting / "out" / "8"
    assert events[-1].path == Path("out/8/assignment8.ipynb") and events[-1].document.title == "Counting"
    assert (folder / "README.md").read_text("utf-8") == f"True {counting / 'novel.txt'} 3"  # the notebook runs elsewhere
    assert "seed = 3" in nbformat.read(folder / "assignment8.ipynb", as_version=4).cells[1].source


def test_study_returns_the_notebook_and_replaces_its_own_earlier_run(counting):
    (counting / "out").mkdir()
    (counting / "out" / "notes.txt").write_text("mine", "utf-8")
    for seed in (1, 2):
        document = ig.study("count-8", out=counting / "out", seed=seed)
        assert document.title == "Counting" and document.parts[-1].number == 2
        assert (counting / "out" / "README.md").read_text("utf-8") == f"False kjv {seed}"
    assert (counting / "out" / "notes.txt").read_text("utf-8") == "mine"


@pytest.mark.parametrize("held", ["assignment9.ipynb", "README.md", "figures"])
def test_a_folder_that_holds_something_else_is_left_alone(counting, held):
    (counting / "out").mkdir()
    (counting / "out" / held).write_text("of somebody", "utf-8")
    with pytest.raises(ConfigError) as caught:
        ig.study("count-8", out="out")
    said = f"out = 'out' holds {held}, which study 'count-8' did not write\nhint: give a folder of its own"
    assert str(caught.value) == said
    assert [path.name for path in (counting / "out").iterdir()] == [held]


def test_a_file_in_place_of_a_folder(counting):
    (counting / "out").write_text("", "utf-8")
    with pytest.raises(ConfigError, match=r"^out = 'out' is a file\nhint: give a folder$"):
        ig.study("count-8", out="out")
    with pytest.raises(ConfigError, match=r"^out = 'out/deeper': Not a directory\nhint: give a folder that can be written to$"):
        ig.study("count-8", out="out/deeper")


def test_wrong_names_are_told_before_a_folder_is_made(counting):
    with pytest.raises(ConfigError, match=r"unknown study 'count-7'\n  known: count-8, count-9\nhint: did you mean .*isinglass study list"):
        ig.study("count-7", out="out")
    with pytest.raises(
        ConfigError, match=r"unknown parameter 'sed' in study 'count-8'\n  known: data, quick, seed\nhint: did you mean 'seed'\?"
    ):
        ig.study("count-8", out="out", sed=1)
    said = "data = 'nowhere.txt': there is no such file, folder or corpus\nhint: give the path of a file, or the name of a corpus: kjv"
    with pytest.raises(DataError, match=f"^{re.escape(said)}$"):
        ig.study("count-8", out="out", data="nowhere.txt")
    assert not (counting / "out").exists()


def test_a_closed_run_keeps_what_was_done(counting):
    events = studying("count-8", out="out")
    assert next(events).number == 1
    events.close()
    cells = nbformat.read("out/assignment8.ipynb", as_version=4).cells
    assert [cell.execution_count for cell in cells if cell.cell_type == "code"] == [1, None]
