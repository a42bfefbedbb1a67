"""The study of retrieval: twenty documents, answers with and without them, and what the run says of both."""

from __future__ import annotations

import csv
import subprocess
import sys

import nbformat
import pytest

from isinglass.studies.study import study


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "rag"
    study("rag", out=out, quick=True)
    return out


def test_every_deliverable_is_there(folder):
    assert {path.name for path in folder.iterdir()} >= {"README.md", "rag.ipynb", "mini_rag.py", "comparison.csv", "figures"}
    assert (folder / "figures" / "recall.png").read_bytes().startswith(b"\x89PNG")


def test_answers_with_and_without(folder):
    with (folder / "comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 and all(row["without"] for row in rows) and any(row["source"] for row in rows)


def test_the_readme_says_what_the_run_found(folder):
    text = (folder / "README.md").read_text("utf-8")
    assert "20 documents, model smollm2" in text and "rerank 100%" in text and "| rerank | 100.0 % |" in text
    assert "Joining both orders is not better" in text  # on these questions words alone are better


def test_the_notebook_ran_without_error(folder):
    cells = nbformat.read(folder / "rag.ipynb", 4).cells
    assert not [output for cell in cells for output in cell.get("outputs", []) if output.output_type == "error"]


def test_the_script_answers_with_sources(folder):
    asked = [sys.executable, folder / "mini_rag.py", "How many people work for the company?", "--model", "extract"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert "Forty-one people work there. [1]" in said and "[1] about.md" in said
