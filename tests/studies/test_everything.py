"""All studies in one tree: the folders that the assignment names, a README, the ZIP; what fails is told, and the others go on.

Each study has a test of its own deliverables; here two of them stand for all, so that the suite does not run everything twice.
"""

from __future__ import annotations

import zipfile

import pytest

from isinglass.core.errors import ConfigError
from isinglass.report.execute import CellDone
from isinglass.studies import everything
from isinglass.studies.everything import BESIDE, LIFTED, PLACES, AllDone, Began, Done, all_studies
from isinglass.studies.study import studies


def test_every_study_of_the_assignments_has_its_place():
    course = {name for name in studies() if name.startswith("book-")} | {"alignment"}  # another assignment's, hours long
    assert set(PLACES) | set(BESIDE) == set(studies()) - course
    assert PLACES["tokenization"] == "part2/task1" and PLACES["embeddings"] == "part2/task2" and PLACES["cost"] == "part2/task3"
    assert {place.split("/")[0] for place in PLACES.values()} == {"part1", "part2", "part3", "bonus"}
    assert set(LIFTED) == {"task4_research_report.pdf", "task5_design_document.pdf"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Three studies: two that work, and one whose model is not there."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(everything, "PLACES", {"tokenization": "part2/task1", "design": "part3/task5"})
        patched.setattr(everything, "BESIDE", {"embeddings": "embeddings"})
        out = tmp_path_factory.mktemp("all") / "studies"
        events = list(all_studies(out=out, name="ada", quick=True, scenario="legal", model="no-such-model"))
    return out, events


def test_what_fails_is_told_and_the_others_go_on(run):
    out, events = run
    assert [event.study for event in events if isinstance(event, Began)] == ["tokenization", "design", "embeddings"]
    faults = {event.study: event.fault for event in events if isinstance(event, Done)}
    assert faults["tokenization"] is None and faults["design"] is None and "unknown model 'no-such-model'" in str(faults["embeddings"])
    assert any(isinstance(event, CellDone) for event in events) and isinstance(events[-1], AllDone)
    readme = (out / "week3_assignment_ada" / "README.md").read_text("utf-8")
    assert "- `embeddings` is not whole:" in readme and "pip install 'isinglass[report,prices,rag]'" in readme
    assert "Legal document analyzer" in (out / "week3_assignment_ada" / "part3" / "task5" / "README.md").read_text("utf-8")


def test_the_tree_and_the_zip_are_as_the_assignment_wants_them(run):
    out, events = run
    folder = out / "week3_assignment_ada"
    assert (folder / "part3" / "task5_design_document.pdf").read_bytes() == (folder / "part3/task5/task5_design_document.pdf").read_bytes()
    assert events[-1].zip == out / "week3_assignment_ada.zip"
    names = zipfile.ZipFile(events[-1].zip).namelist()
    assert {"week3_assignment_ada/README.md", "week3_assignment_ada/part3/task5_design_document.pdf"} <= set(names)
    assert all(name.startswith("week3_assignment_ada/") for name in names)
    assert "architecture.png" in (folder / "README.md").read_text("utf-8")


def test_folders_that_hold_something_else_and_names_that_cannot_be(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine", "utf-8")
    with pytest.raises(ConfigError, match=r"holds thesis\.txt, which no study wrote"):
        next(all_studies(out=tmp_path))
    for name in ("", "a/b", "a b"):
        with pytest.raises(ConfigError, match="expected letters, digits"):
            next(all_studies(out=tmp_path / "new", name=name))
    for parameter in ({"colour": "red"}, {"data": "kjv"}):
        with pytest.raises(ConfigError, match="no study here takes it for all"):
            next(all_studies(out=tmp_path / "new", **parameter))
    assert not (tmp_path / "new").exists()
